"""What one login, and each person it speaks for, may have waiting at the door.

Everybody's intents go through one gate, and stops with them: nobody may fill the way for the others. A login
that speaks for many (a gateway, an agent) has the places of one login; so within them its persons are kept
apart, or one of them would take the places of all.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from plantops.events.base import CommandId
from plantops.events.command_parts import Intent
from plantops.policy.document import Policy
from plantops.runtime.errors import Refused

MAX_UNDECIDED: Final = 32
# Of everybody together: a stop is folded behind what was stored before it.
MAX_ALL: Final = 64
# A person has less than a third of what is left free: a quarter of all places for one alone, and some free
# for who comes next however many there are (Choudhury and Hahne, Dynamic Queue Length Thresholds, 1998).
_LEFT_FREE: Final = 3
# As many as one login had before its persons were kept apart, for each of two who want all of them.
_MAX_STOPS: Final = 2 * MAX_UNDECIDED
STRANGERS: Final = "?"


def speaker_of(policy: Policy, login: str, intent: Intent) -> str:
    """Whose word it is that `login` hands in: "" its own, else the natural person at the end of the chain.

    A chain counts where the judgement believes it, behind an actor of kind agent: a person who writes
    another's name into his own words takes no place of the other. A program that is no person counts by its
    own name, and all whom the policy does not know share `STRANGERS`, so that made-up names buy nothing.
    """
    actor = policy.principals.get(intent.actor)
    is_believed = actor is not None and actor.kind == "agent" and intent.on_behalf_of
    name = intent.on_behalf_of[-1] if is_believed else intent.actor
    if name == login:
        return ""
    speaker = policy.principals.get(name)
    return STRANGERS if speaker is None else speaker.person or name


@dataclass
class Crowd:
    """Intents that were let in and that the gate has not folded yet, by login; stops are counted apart.

    `folded` tells what the gate knows already.
    """

    folded: Callable[[], Container[CommandId]]
    _waiting: dict[tuple[str, bool], dict[CommandId, str]] = field(default_factory=dict, repr=False)

    @contextmanager
    def place(self, login: str, command: CommandId, *, speaker: str, is_safe: bool) -> Iterator[None]:
        """A place for one intent, given back when the block fails or it is folded. Raises: Refused.

        `speaker` is for whom the login speaks (`speaker_of`). A login has its bound whomever it names, since
        it may name whom it likes; of these places each speaker has a share, and one who has none gets one as
        long as there is any. Stops have places of their own: whoever hands one in has as many as a login
        that speaks for itself alone, unless others hand theirs in by the same login.
        """
        waiting = self._waiting.setdefault((login, is_safe), {})
        if command not in waiting and self._is_full(waiting, speaker, is_safe=is_safe):
            self._clear()
            if self._is_full(waiting, speaker, is_safe=is_safe):
                whose = f"{speaker!r} by {login!r}" if speaker else repr(login)
                raise Refused(
                    f"too many intents of {whose} wait to be judged, {len(waiting)} of this login:"
                    " wait, then try again",
                    reason="busy",
                )
        waiting[command] = speaker
        try:
            yield
        except BaseException:
            waiting.pop(command, None)
            raise

    def _is_full(self, waiting: dict[CommandId, str], speaker: str, *, is_safe: bool) -> bool:
        own = sum(each == speaker for each in waiting.values())
        if is_safe:
            return own >= _MAX_STOPS - len(waiting)
        left = self._bound(waiting) - len(waiting)
        return left <= 0 or (speaker != "" and own * _LEFT_FREE >= left)

    def _bound(self, waiting: dict[CommandId, str]) -> int:
        """The places of a login: an equal share once they are many."""
        crowded = [len(each) for (_login, safe), each in self._waiting.items() if each and not safe]
        if sum(crowded) < MAX_ALL:
            return MAX_UNDECIDED
        return min(MAX_UNDECIDED, MAX_ALL // max(len(crowded), 1))

    def _clear(self) -> None:
        """Forget what is folded."""
        folded = self.folded()
        for waiting in self._waiting.values():
            for old in [each for each in waiting if each in folded]:
                del waiting[old]
