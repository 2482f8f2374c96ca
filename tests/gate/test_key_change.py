"""A key that is replaced takes nothing out of the log: what it said while it counted goes on to count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
import pytest

from plantops.events import decode, encode
from plantops.events.base import Digest, OperationName, PrincipalName, to_nanoseconds
from plantops.events.command_parts import Intent, command_id
from plantops.events.commands import CommandRequested, GenerationRaised, SafePermitted
from plantops.events.envelope import Message
from plantops.events.operations import MessageBuried, PolicyPublished
from plantops.flow.declaration import consumer_name, snapshot_stream, snapshot_subject
from plantops.flow.memory import MemoryBroker
from plantops.flow.policies import refresh
from plantops.flow.reading import read_event
from plantops.flow.shell import Shell
from plantops.flow.signing import Signer
from plantops.flow.streams import streams
from plantops.gate.core import Gate
from plantops.gate.state import GateState
from plantops.ledger.keys import SigningKey
from plantops.policy.document import Policy
from plantops.policy.in_force import InForce
from plantops.runtime.errors import UntrustedKey
from support.gate_samples import PLANT, POLICY, PUMP, ROOT, SITE, after, envelope
from support.manual_clock import until
from support.plant_samples import NOW, key

OLD, NEW = key("gate"), SigningKey.generate()


def _with_key(policy: Policy, new: SigningKey) -> Policy:
    gate = msgspec.structs.replace(policy.principals["gate"], keys=(new.public.to_base64(),))
    return after(policy, principals={**policy.principals, "gate": gate})


CHANGED = _with_key(POLICY, NEW)


class Ground:
    """A gate on a broker in memory; `policies` is what this process knows of POLICY."""

    def __init__(self) -> None:
        self.now = NOW
        self.broker = MemoryBroker(clock=lambda: to_nanoseconds(self.now))
        for stream in streams():
            if stream.account == "PLANT":
                self.broker.add_stream(stream.name, stream.subjects)
        gate = Gate(SITE, PLANT, ROOT)
        for reads in gate.consumes:
            self.broker.add_consumer(reads.stream, consumer_name("gate", reads), reads.subjects)
        self.broker.add_stream(snapshot_stream("gate"), [snapshot_subject("gate", ">")], max_per_subject=1)
        self.bus = self.broker.bus("gate")
        self.policies = InForce(ROOT, SITE)

    async def publish(self, policy: Policy) -> None:
        event = PolicyPublished(
            site=SITE, revision=policy.revision, digest=Digest(""), envelope=envelope(policy)
        )
        await self.bus.publish(Message(f"policy.{SITE}", encode(event)), stream="POLICY")
        await refresh(self.bus, self.policies)

    async def ask_stop(self, name: str, signer: SigningKey) -> None:
        intent = Intent(
            site=SITE,
            asset=PUMP,
            operation=OperationName("StopPump"),
            actor=PrincipalName("alice"),
            key=name,
            issued_at=self.now,
            expires_at=self.now + timedelta(hours=1),
        )
        event = CommandRequested(
            site=SITE,
            command=command_id("alice", name),
            intent=intent,
            digest=Digest(name),
            login=PrincipalName("alice"),
            signer="alice",
            evidence="",
            received_at=self.now,
        )
        subject = f"intent.{SITE}.alice.{PUMP}.StopPump"
        message = Signer("gate", signer).message(subject, event, id=name, time=self.now)
        await self.bus.publish(message, stream="INTENTS")

    def said(self, *kinds: type) -> list[object]:
        events = [decode(each.data) for each in self.broker.stream("COMMANDS").messages.values()]
        return [event for event in events if isinstance(event, kinds)]

    @asynccontextmanager
    async def gate(self, signer: SigningKey) -> AsyncIterator[Shell[GateState]]:
        trust = InForce(ROOT, SITE)
        await refresh(self.bus, trust)
        shell = Shell(Gate(SITE, PLANT, ROOT), self.bus, Signer("gate", signer), trust, site=SITE)
        await shell.restore()
        task = asyncio.create_task(shell.run())
        try:
            yield shell
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_a_gate_with_a_new_key_goes_on_where_the_old_one_stopped() -> None:
    ground = Ground()
    await ground.publish(POLICY)
    async with ground.gate(OLD):
        await ground.ask_stop("first", OLD)
        await until(lambda: len(ground.said(SafePermitted)) == 1)
    ground.now += timedelta(minutes=1)
    await ground.publish(CHANGED)
    async with ground.gate(NEW) as shell:
        assert command_id("alice", "first") in shell.state.asked
        await ground.ask_stop("second", NEW)
        await until(lambda: len(ground.said(SafePermitted)) == 2)
    raised = [event.generation for event in ground.said(GenerationRaised)]  # type: ignore[attr-defined]
    assert raised == [1, 2]
    assert not ground.broker.stream("DEAD").messages


async def test_a_gate_whose_key_was_replaced_while_it_ran_can_still_be_started_again() -> None:
    ground = Ground()
    await ground.publish(POLICY)
    async with ground.gate(OLD):
        await ground.publish(CHANGED)
        await ground.ask_stop("late", OLD)
        await until(lambda: len(ground.said(SafePermitted)) == 1)
    async with ground.gate(NEW) as shell:
        assert shell.state.generations == {PUMP: 1}


async def test_a_key_that_was_taken_away_says_nothing_new() -> None:
    ground = Ground()
    await ground.publish(POLICY)
    await ground.ask_stop("before", OLD)
    ground.now += timedelta(minutes=1)
    await ground.publish(CHANGED)
    ground.now += timedelta(minutes=1)
    await ground.ask_stop("after", OLD)
    before, late = ground.broker.stream("INTENTS").messages.values()
    assert read_event(before, ground.policies)[1] == "gate"
    with pytest.raises(UntrustedKey):
        read_event(late, ground.policies)
    async with ground.gate(NEW):
        await until(lambda: bool(ground.broker.stream("DEAD").messages))
    (buried,) = [decode(each.data) for each in ground.broker.stream("DEAD").messages.values()]
    assert isinstance(buried, MessageBuried)
    assert buried.sequence == late.sequence
