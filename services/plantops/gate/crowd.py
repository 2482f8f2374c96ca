"""What one login may have waiting at the door.

Everybody's intents go through one gate, and stops with them: nobody may fill the way for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field

from plantops.events.base import CommandId
from plantops.runtime.errors import Refused

MAX_UNDECIDED = 32
# Of everybody together: a stop is folded behind what was stored before it.
MAX_ALL = 64


@dataclass
class Crowd:
    """Intents that were let in and that the gate has not folded yet, by login; stops are counted apart.

    `folded` tells what the gate knows already.
    """

    folded: Callable[[], Container[CommandId]]
    _waiting: dict[tuple[str, bool], dict[CommandId, None]] = field(default_factory=dict, repr=False)

    @contextmanager
    def place(self, login: str, command: CommandId, *, is_safe: bool) -> Iterator[None]:
        """A place for one intent, given back when the block fails or it is folded. Raises: Refused.

        Stops have places of their own; of the rest each login has its share once they are many.
        """
        waiting = self._waiting.setdefault((login, is_safe), {})
        if command not in waiting and self._is_full(waiting, is_safe=is_safe):
            self._clear()
            if self._is_full(waiting, is_safe=is_safe):
                raise Refused(
                    f"{len(waiting)} intents of {login!r} wait to be judged: wait, then try again",
                    reason="busy",
                )
        waiting[command] = None
        try:
            yield
        except BaseException:
            waiting.pop(command, None)
            raise

    def _is_full(self, waiting: Sized, *, is_safe: bool) -> bool:
        if len(waiting) >= MAX_UNDECIDED or is_safe:
            return len(waiting) >= MAX_UNDECIDED
        crowded = [len(each) for (_login, safe), each in self._waiting.items() if each and not safe]
        return sum(crowded) >= MAX_ALL and len(waiting) >= MAX_ALL // len(crowded)

    def _clear(self) -> None:
        """Forget what is folded."""
        folded = self.folded()
        for waiting in self._waiting.values():
            for old in [each for each in waiting if each in folded]:
                del waiting[old]
