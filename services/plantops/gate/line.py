"""The line before the door: a few requests at a time, one login after the other.

Who stands there has not been looked at but for the login that the server wrote, so a place costs next to
nothing, and a login that sends as fast as it can waits behind its own words alone. However many stand there,
the process comes back to its other work after a few of them: the fold and the stops go on.
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
MAX_REFUSED = 128
AT_ONCE = 2


class Overrun(Exception):
    """So many of one login wait that even to refuse one more would take the time of others."""


@dataclass(frozen=True, slots=True)
class _Place:
    called: asyncio.Future[None]
    is_refused: bool


@dataclass
class Line:
    """At most `places` are inside at a time, at most `max_waiting` of one login wait; `max_refused` more are
    told so when their turn comes.

    `at_once` have their turn before everything else that this process has to do.
    """

    places: int = PLACES
    max_waiting: int = MAX_WAITING
    max_refused: int = MAX_REFUSED
    at_once: int = AT_ONCE
    _inside: int = field(default=0, repr=False)
    # In the order in which the logins have their turn.
    _waiting: dict[str, deque[_Place]] = field(default_factory=dict, repr=False)
    _letting: asyncio.Task[None] | None = field(default=None, repr=False)
    _left: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @asynccontextmanager
    async def turn(self, login: str) -> AsyncIterator[None]:
        """A place inside, given back when the block ends. Raises: Refused when too many of the login wait;
        Overrun."""
        own = self._waiting.setdefault(login, deque())
        if len(own) >= self.max_waiting + self.max_refused:
            raise Overrun
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        own.append(_Place(place, is_refused=len(own) >= self.max_waiting))
        is_refused = own[-1].is_refused
        if self._letting is None or self._letting.done():
            self._letting = asyncio.create_task(self._let_in())
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and not is_refused:
                self._leave()  # it was let in at this very moment
            raise
        if is_refused:
            raise Refused(
                f"{self.max_waiting} requests of {login!r} wait here: wait, then try again", reason="busy"
            )
        try:
            yield
        finally:
            self._leave()

    async def _let_in(self) -> None:
        """Until nobody waits any more."""
        while self._waiting:
            for _ in range(self.at_once):
                if self._waiting and self._inside < self.places:
                    self._next()
            if self._inside >= self.places:
                self._left.clear()
                await self._left.wait()
            else:
                await asyncio.sleep(0)

    def _next(self) -> None:
        login = next(iter(self._waiting))
        own = self._waiting.pop(login)
        place = own.popleft() if own else None
        if own:
            self._waiting[login] = own  # behind the others
        if place is not None and not place.called.done():
            self._inside += not place.is_refused
            place.called.set_result(None)

    def _leave(self) -> None:
        self._inside -= 1
        self._left.set()
