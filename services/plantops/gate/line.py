"""The line before the door: a few requests at a time, one login after the other.

Who stands there has not been looked at but for the login that the server wrote, so a place in it costs next
to nothing, and a login that sends as fast as it can waits behind its own words alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from plantops.runtime.errors import Refused

PLACES = 32
MAX_WAITING = 128


@dataclass
class Line:
    """At most `places` are let in at a time, at most `max_waiting` of one login wait."""

    places: int = PLACES
    max_waiting: int = MAX_WAITING
    _inside: int = field(default=0, repr=False)
    # In the order in which the logins have their turn.
    _waiting: dict[str, deque[asyncio.Future[None]]] = field(default_factory=dict, repr=False)

    @asynccontextmanager
    async def turn(self, login: str) -> AsyncIterator[None]:
        """A place inside, given back when the block ends. Raises: Refused when too many of the login wait."""
        if self._inside < self.places:
            self._inside += 1
        else:
            await self._wait(login)
        try:
            yield
        finally:
            self._leave()

    async def _wait(self, login: str) -> None:
        own = self._waiting.setdefault(login, deque())
        if len(own) >= self.max_waiting:
            raise Refused(f"{len(own)} requests of {login!r} wait here: wait, then try again", reason="busy")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        own.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()  # it was let in at this very moment
            raise

    def _leave(self) -> None:
        """Hand the place to the next login that has somebody waiting."""
        while self._waiting:
            login = next(iter(self._waiting))
            own = self._waiting.pop(login)
            place = own.popleft()
            if own:
                self._waiting[login] = own  # behind the others
            if not place.done():
                place.set_result(None)
                return
        self._inside -= 1
