"""A conversation as its events tell it. Pure: the same events always give the same value.

Nothing in it changes; each event makes a new one, so several tasks may hold it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from plantops.events import Event
from plantops.events.base import PrincipalName, is_token
from plantops.events.conversation import (
    ConversationReset,
    ModelReplied,
    ToolAnswered,
    ToolCall,
    TurnAsked,
    TurnEnded,
)
from plantops.events.provenance import Provenance

_MAX_TOKEN: Final = 64
_OWNER_DIGITS: Final = 16


def stored_name(person: PrincipalName, name: str) -> str:
    """The subject token of a person's conversation: two persons with the same name for one have two.

    It begins with a hash of both and ends with the name as far as it fits. Raises: ValueError unless `name`
    is a token.
    """
    if not is_token(name):
        raise ValueError(f"{name!r} cannot name a conversation: use 1 to 64 letters, digits, '-' or '_'")
    owner = hashlib.sha256(f"{person}\0{name}".encode()).hexdigest()[:_OWNER_DIGITS]
    return f"{owner}-{name}"[:_MAX_TOKEN]


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and what came of it so far. `answers` are by the id of their call."""

    asked: TurnAsked
    replies: tuple[ModelReplied, ...] = ()
    answers: Mapping[str, ToolAnswered] = field(default_factory=lambda: MappingProxyType({}))
    ended: TurnEnded | None = None

    @property
    def chain(self) -> tuple[PrincipalName, ...]:
        """Who asks: the login, then whom it asks for, the person last."""
        return (self.asked.asker, *self.asked.on_behalf_of)

    @property
    def unanswered(self) -> tuple[ToolCall, ...]:
        """Calls of the last reply of which nothing has come yet, in their order."""
        if not self.replies:
            return ()
        return tuple(call for call in self.replies[-1].calls if call.id not in self.answers)

    @property
    def answered(self) -> Iterator[ToolAnswered]:
        """What came of the calls, in the order in which the model wanted them."""
        for reply in self.replies:
            for call in reply.calls:
                if call.id in self.answers:
                    yield self.answers[call.id]


@dataclass(frozen=True, slots=True)
class Conversation:
    """All turns of one conversation, the newest last. `reset` is the turn up to which no model is shown what
    was said. `stored` counts the events of the newest turn."""

    turns: tuple[Turn, ...] = ()
    reset: int = 0
    stored: int = 0

    @property
    def newest(self) -> Turn | None:
        return self.turns[-1] if self.turns else None

    @property
    def open(self) -> Turn | None:
        """The turn that waits for its answer. There is at most one, the newest."""
        return self.turns[-1] if self.turns and self.turns[-1].ended is None else None

    @property
    def person(self) -> PrincipalName | None:
        """Whose it is; None before anything was said."""
        return self.turns[0].chain[-1] if self.turns else None

    def turn(self, number: int) -> Turn | None:
        """By its number, from 1."""
        return self.turns[number - 1] if 1 <= number <= len(self.turns) else None

    def by_key(self, key: str) -> Turn | None:
        """The turn that was asked under a key."""
        return next((turn for turn in reversed(self.turns) if turn.asked.key == key), None)

    @property
    def visible(self) -> tuple[Turn, ...]:
        """Since the last reset."""
        return self.turns[self.reset :]

    def seen(self) -> tuple[Provenance, ...]:
        """Where everything came from that a model was given since the last reset and that no person said.

        No tool gives a person's words, whatever it says of its result.
        Also of turns that are too long ago to be shown: what the model said of them is shown for longer.
        """
        found: dict[Provenance, None] = {}
        for turn in self.visible:
            for answer in turn.answered:
                found.update(dict.fromkeys(answer.provenance))
        return tuple(found)


def evolve(state: Conversation, event: Event) -> Conversation:
    """One stored event more. What does not follow from what is there leaves it as it is: it never raises."""
    match event:
        case TurnAsked() if state.open is None and event.turn == len(state.turns) + 1:
            return replace(state, turns=(*state.turns, Turn(event)), stored=1)
        case ConversationReset() if event.turn <= len(state.turns):
            return replace(state, reset=max(state.reset, event.turn))
        case ModelReplied() | ToolAnswered() | TurnEnded():
            return _in_turn(state, event)
        case _:
            return state


def _in_turn(state: Conversation, event: ModelReplied | ToolAnswered | TurnEnded) -> Conversation:
    turn = state.open
    if turn is None or event.turn != len(state.turns):
        return state
    match event:
        case ModelReplied() if event.step == len(turn.replies) + 1 and not turn.unanswered:
            changed = replace(turn, replies=(*turn.replies, event))
        case ToolAnswered() if any(call.id == event.call for call in turn.unanswered):
            changed = replace(turn, answers=MappingProxyType({**turn.answers, event.call: event}))
        case TurnEnded():
            changed = replace(turn, ended=event)
        case _:
            return state
    return replace(state, turns=(*state.turns[:-1], changed), stored=state.stored + 1)


def fold(events: Iterable[Event], state: Conversation | None = None) -> Conversation:
    """`events` one after the other."""
    folded = state or Conversation()
    for event in events:
        folded = evolve(folded, event)
    return folded
