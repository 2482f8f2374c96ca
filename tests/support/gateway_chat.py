"""An agent by script, for the gateway's tests: what it says is known before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from plantops.events.base import encode_json
from plantops.events.chatting import (
    ChatAsked,
    ChatTaken,
    ConversationsAsked,
    ConversationTold,
    ResetAsked,
    ResetDone,
    TurnAskedFor,
    TurnListed,
    TurnTold,
)
from plantops.events.envelope import Message
from plantops.events.queries import problem


@dataclass
class Chat:
    """An agent by script: `says` gives the states of a turn, one after the other."""

    says: Callable[[ChatAsked], list[dict[str, Any]]] = lambda asked: [{"text": f"You said: {asked.message}"}]
    asked: list[ChatAsked] = field(default_factory=list)
    turns: dict[tuple[str, int], tuple[ChatAsked, list[dict[str, Any]]]] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    resets: list[str] = field(default_factory=list)

    async def ask(self, message: Message) -> bytes:
        asked = msgspec.json.decode(message.data, type=ChatAsked)
        person = asked.on_behalf_of[-1]
        if asked.key and (person, asked.key) in self.keys:
            conversation, turn = self.keys[person, asked.key]
            return encode_json(ChatTaken(conversation=conversation, turn=turn, repeated=True))
        conversation = asked.conversation or f"v{len(self.turns) + 1}"
        owners = {a.on_behalf_of[-1] for (name, _), (a, _s) in self.turns.items() if name == conversation}
        if asked.conversation and owners != {person}:
            return problem("unknown_conversation", f"there is no conversation {conversation!r}")
        turn = 1 + sum(1 for name, _ in self.turns if name == conversation)
        self.asked.append(asked)
        self.turns[conversation, turn] = (asked, self.says(asked))
        self.keys[person, asked.key] = (conversation, turn)
        return encode_json(ChatTaken(conversation=conversation, turn=turn))

    async def watch(self, message: Message) -> bytes:
        asked = msgspec.json.decode(message.data, type=TurnAskedFor)
        found = self.turns.get((asked.conversation, asked.turn))
        if found is None or found[0].on_behalf_of != asked.on_behalf_of:
            return problem("unknown_turn", "there is no such turn")
        states = found[1]
        revision = min(asked.after + 1, len(states))
        status = "answered" if revision == len(states) else "open"
        return encode_json(
            TurnTold(
                conversation=asked.conversation,
                turn=asked.turn,
                revision=revision,
                **{"status": status, **states[revision - 1]},
            )
        )

    async def list(self, message: Message) -> bytes:
        asked = msgspec.json.decode(message.data, type=ConversationsAsked)
        told = tuple(
            TurnListed(
                turn=turn, asked_at=datetime.now(UTC), question=a.message, status="answered", reply="ok"
            )
            for (name, turn), (a, _states) in self.turns.items()
            if name == asked.conversation and a.on_behalf_of == asked.on_behalf_of
        )
        if not told:
            return problem("unknown_conversation", f"there is no conversation {asked.conversation!r}")
        return encode_json(ConversationTold(conversation=asked.conversation, turns=told[-asked.limit :]))

    async def reset(self, message: Message) -> bytes:
        asked = msgspec.json.decode(message.data, type=ResetAsked)
        self.resets.append(asked.conversation)
        return encode_json(ResetDone(conversation=asked.conversation))
