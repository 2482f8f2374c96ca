"""Every process comes to the same policy as the gate, whenever it starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from plantops.events import encode
from plantops.events.base import Digest, to_nanoseconds
from plantops.events.envelope import Message
from plantops.events.operations import PolicyPublished
from plantops.flow import policies
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.policies import first, follow, refresh
from plantops.policy.document import Policy
from plantops.policy.in_force import InForce
from plantops.policy.verify import status
from plantops.runtime.errors import BrokerUnavailable, PolicyRejected, UntrustedKey
from support.gate_samples import POLICY, ROOT, SITE, after, envelope
from support.plant_samples import NOW

SECOND = after(POLICY, moc="second")
THIRD = after(SECOND, moc="third")


class Ground:
    """The stream POLICY, and one process that looks at it."""

    def __init__(self) -> None:
        self.now_ns = to_nanoseconds(NOW)
        self.broker = MemoryBroker(clock=lambda: self.now_ns)
        self.broker.add_stream("POLICY", ("policy.*",))
        self.bus: MemoryBus = self.broker.bus("process")
        self.in_force = InForce(ROOT, SITE)

    async def store(self, data: bytes) -> None:
        await self.bus.publish(Message(f"policy.{SITE}", data), stream="POLICY")

    async def publish(self, policy: Policy, signer: str = "root") -> None:
        event = PolicyPublished(
            site=SITE, revision=policy.revision, digest=Digest(""), envelope=envelope(policy, signer)
        )
        await self.store(encode(event))

    @property
    def moc(self) -> str | None:
        return None if self.in_force.verified is None else self.in_force.verified.policy.moc


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    ground = Ground()
    yield ground
    await ground.bus.close()


async def test_goes_through_the_stream_to_the_last_one_that_holds(ground: Ground) -> None:
    assert not await refresh(ground.bus, ground.in_force)
    for policy in (POLICY, SECOND, THIRD):
        await ground.publish(policy)
    assert await refresh(ground.bus, ground.in_force)
    assert ground.moc == "third"
    assert not await refresh(ground.bus, ground.in_force)


async def test_a_former_revision_put_back_is_refused_also_by_who_has_just_started(ground: Ground) -> None:
    for policy in (POLICY, SECOND, POLICY):
        await ground.publish(policy)
    assert await refresh(ground.bus, ground.in_force)
    assert ground.moc == "second"


async def test_a_policy_that_has_expired_since_is_known_still_and_serves_the_safe_direction(
    ground: Ground,
) -> None:
    await ground.publish(POLICY)
    ground.now_ns = to_nanoseconds(POLICY.expires + timedelta(days=3))
    assert await refresh(ground.bus, ground.in_force)
    assert ground.in_force.verified is not None
    assert status(ground.in_force.verified, POLICY.expires + timedelta(days=3)) == "expired"
    assert ground.in_force.keyring.principal("alice") is not None


async def test_an_expired_policy_published_now_is_refused(ground: Ground) -> None:
    ground.now_ns = to_nanoseconds(POLICY.expires)
    await ground.publish(POLICY)
    with pytest.raises(PolicyRejected, match="expired"):
        await refresh(ground.bus, ground.in_force)
    assert ground.moc is None


@pytest.mark.parametrize("kind", ["garbage", "other event", "stranger", "unsound", "same revision"])
async def test_what_does_not_hold_is_told_once_and_the_one_before_goes_on(ground: Ground, kind: str) -> None:
    await ground.publish(POLICY)
    await refresh(ground.bus, ground.in_force)
    match kind:
        case "garbage":
            await ground.store(b"\xff{")
        case "other event":
            await ground.store(b'{"type":"source.up","source":"plc1","epoch":1}')
        case "stranger":
            await ground.publish(SECOND, signer="mallory")
        case "unsound":
            await ground.publish(msgspec.structs.replace(SECOND, clock_skew_seconds=1e300))
        case "same revision":
            await ground.publish(msgspec.structs.replace(POLICY, moc="changed"))
    with pytest.raises(PolicyRejected):
        await refresh(ground.bus, ground.in_force)
    assert not await refresh(ground.bus, ground.in_force)
    assert ground.in_force.verified is not None
    assert ground.in_force.verified.policy == POLICY
    await ground.publish(SECOND)
    assert await refresh(ground.bus, ground.in_force)


async def test_the_same_policy_under_another_signature_is_no_change(ground: Ground) -> None:
    await ground.publish(POLICY)
    assert await refresh(ground.bus, ground.in_force)
    text = msgspec.json.format(envelope(POLICY).encode(), indent=2)
    await ground.store(
        encode(PolicyPublished(site=SITE, revision=1, digest=Digest(""), envelope=text.decode()))
    )
    assert not await refresh(ground.bus, ground.in_force)


async def test_nobody_is_trusted_before_the_first_policy(ground: Ground) -> None:
    with pytest.raises(UntrustedKey, match="no verified policy"):
        _ = ground.in_force.keyring


async def test_waits_for_the_first_one_that_holds(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "POLL_SECONDS", 0.01)
    await ground.publish(POLICY, signer="mallory")
    waiting = asyncio.create_task(first(ground.bus, ground.in_force, patience_seconds=30))
    while ground.in_force.position < 1:  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)
    assert not waiting.done()
    await ground.publish(POLICY)
    await waiting
    assert ground.moc == ""


async def test_says_why_none_came(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "POLL_SECONDS", 0.01)
    with pytest.raises(PolicyRejected, match="no policy was published"):
        await first(ground.bus, ground.in_force, patience_seconds=0)
    await ground.publish(POLICY, signer="mallory")
    with pytest.raises(PolicyRejected, match="not believed"):
        await first(ground.bus, ground.in_force, patience_seconds=0)
    ground.bus.disconnect()
    with pytest.raises(BrokerUnavailable):
        await first(ground.bus, ground.in_force, patience_seconds=0)


async def test_follows_through_refusals_and_an_absent_broker(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "POLL_SECONDS", 0.005)
    changed: asyncio.Queue[str | None] = asyncio.Queue()
    following = asyncio.create_task(
        follow(ground.bus, ground.in_force, lambda: changed.put_nowait(ground.moc))
    )
    await ground.publish(POLICY)
    assert await asyncio.wait_for(changed.get(), 30) == ""
    other = ground.broker.bus("office")
    ground.bus.disconnect()
    event = PolicyPublished(site=SITE, revision=2, digest=Digest(""), envelope=envelope(SECOND, "mallory"))
    await other.publish(Message(f"policy.{SITE}", encode(event)), stream="POLICY")
    ground.bus.reconnect()
    await ground.publish(SECOND)
    assert await asyncio.wait_for(changed.get(), 30) == "second"
    following.cancel()
    await asyncio.wait([following])
    assert following.cancelled()
    await other.close()
