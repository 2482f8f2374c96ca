"""A door on a broker in memory, with a gate's story behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from plantops.events.base import TagName, encode_json
from plantops.events.command_parts import INTENT_TYPE, Observation
from plantops.events.commands import ApprovalReceived, ApprovalRequested, CommandRequested
from plantops.events.envelope import Message
from plantops.events.queries import IntentTaken, ProblemDetail, read_answer
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.reading import read_event
from plantops.flow.signing import Signer
from plantops.gate.door import Door
from plantops.ledger import dsse
from plantops.policy.keyring import Keyring
from plantops.runtime.errors import BrokerUnavailable
from support.gate_samples import PLANT, POLICY, PUMP, SITE, Story, well
from support.plant_samples import key

CLIENT = {"kind": "Client", "acc": "CLIENTS"}


class Ground:
    """A door on a broker in memory, before a gate that is told what the door stored when asked to."""

    def __init__(self, story: Story | None = None) -> None:
        self.story = story or Story()
        self.broker = MemoryBroker()
        for stream in ("INTENTS", "APPROVALS"):
            self.broker.add_stream(stream, (f"{stream.removesuffix('S').lower()}.>",))
        self.bus: MemoryBus = self.broker.bus("gate")
        self.observed: list[tuple[TagName, ...]] = []
        self.turned_away: list[tuple[str, str, str]] = []
        self.audit_is_away = False
        self.hold: asyncio.Event | None = None
        self.door = Door(
            site=SITE,
            bus=self.bus,
            signer=Signer("gate", key("gate")),
            plant=PLANT,
            state=lambda: self.story.state,
            observe=self._observe,
            refuse=self._refuse,
            now=lambda: self.story.now,
        )

    async def _observe(self, tags: tuple[TagName, ...]) -> Observation:
        self.observed.append(tags)
        if self.hold is not None:
            await self.hold.wait()
        return well(at=self.story.now)

    async def _refuse(self, login: str, subject: str, reason: str) -> None:
        self.turned_away.append((login, subject, reason))
        if self.audit_is_away:
            raise BrokerUnavailable("no audit")

    def stored(self, stream: str = "INTENTS") -> list[CommandRequested | ApprovalReceived]:
        """What was stored, believed as every reader believes it."""
        events = []
        for stored in self.broker.stream(stream).messages.values():
            event, signer = read_event(stored, Keyring(POLICY))
            assert signer == "gate"
            assert isinstance(event, CommandRequested | ApprovalReceived)
            events.append(event)
        return events

    def fold(self) -> None:
        """The gate reads what is new in INTENTS."""
        for event in self.stored()[len(self.story.state.asked) :]:
            assert isinstance(event, CommandRequested)
            self.story.tell("INTENTS", "intent", event, "gate")

    async def knock(self, subject: str, data: bytes, **headers: str) -> IntentTaken | ProblemDetail:
        answer = await self.door.intent(Message(subject, data, headers))
        assert answer is not None, "the door left it to another gate"
        return read_answer(answer, IntentTaken)

    async def ask(
        self, data: bytes | dict[str, Any], *, subject: str = "", login: str = "LOGIN-alice"
    ) -> IntentTaken | ProblemDetail:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return await self.knock(
            subject or f"door.intent.{SITE}.alice.{PUMP}.SetSpeed",
            body,
            **{"Nats-Request-Info": json.dumps({**CLIENT, "user": login})},
        )

    async def refused(self, code: str, data: bytes | dict[str, Any], **asked: str) -> ProblemDetail:
        answer = await self.ask(data, **asked)
        assert isinstance(answer, ProblemDetail), answer
        assert answer.code == code, answer
        assert self.stored() == []
        assert len(self.turned_away) == 1
        assert self.turned_away[0][2].startswith(code)
        return answer


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    ground = Ground()
    yield ground
    await ground.bus.close()


def intent(story: Story, **changed: object) -> bytes:
    """Alice's complete intent."""
    fields: dict[str, object] = {
        "site": SITE,
        "asset": PUMP,
        "operation": "SetSpeed",
        "arguments": {"RPM": 1200},
        "mode": "execute",
        "actor": "alice",
        "key": "k1",
        "nonce": "n1",
        "issued_at": story.now,
        "expires_at": story.now + timedelta(minutes=5),
        "model": PLANT.digest,
    }
    return encode_json({**fields, **changed})


def signed(payload: bytes, *names: str, kind: str = INTENT_TYPE) -> bytes:
    return dsse.encode(dsse.seal(kind, payload, *(key(name) for name in names or ("alice",))))


def approval(wanted: ApprovalRequested, now: datetime, **changed: object) -> bytes:
    fields: dict[str, object] = {
        "site": SITE,
        "command": wanted.command,
        "person": "bob",
        "verdict": "approve",
        "intent": wanted.intent,
        "decision": wanted.decision,
        "issued_at": now,
        "expires_at": now + timedelta(minutes=5),
        "nonce": "n",
    }
    return encode_json({**fields, **changed})
