"""A stream that went back is noticed by who was there before, also after a restart."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from plantops.events import encode
from plantops.events.base import Digest, SiteName, to_nanoseconds
from plantops.events.envelope import Message
from plantops.events.operations import PolicyPublished
from plantops.flow import policies
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.policies import first, refresh
from plantops.policy.document import Policy
from plantops.policy.highwater import FILE_NAME, HighWater, Mark
from plantops.policy.in_force import InForce
from plantops.runtime.errors import IntegrityError, PolicyRejected, StorageError
from support.plant_samples import NOW, POLICY, ROOT, SITE, signed, verified, with_policy

SECOND = with_policy(revision=4, previous=verified().digest)


async def stream(*documents: Policy) -> MemoryBus:
    broker = MemoryBroker(clock=lambda: to_nanoseconds(NOW))
    broker.add_stream("POLICY", ("policy.*",))
    bus = broker.bus("process")
    for document in documents:
        await publish(bus, document)
    return bus


async def publish(bus: MemoryBus, document: Policy) -> None:
    event = PolicyPublished(
        site=SiteName(SITE), revision=document.revision, digest=Digest(""), envelope=signed(document).decode()
    )
    await bus.publish(Message(f"policy.{SITE}", encode(event)), stream="POLICY")


def process(folder: Path) -> InForce:
    """As after a start."""
    return InForce(ROOT, SITE, highwater=HighWater.load(folder / FILE_NAME))


async def test_a_restart_goes_on_with_what_it_followed(tmp_path: Path) -> None:
    bus = await stream(POLICY, SECOND)
    await first(bus, process(tmp_path), patience_seconds=0)
    again = process(tmp_path)
    assert again.highwater is not None
    assert again.highwater.mark == Mark.of(ROOT, verified(SECOND))
    await first(bus, again, patience_seconds=0)
    assert again.verified is not None
    assert again.verified.policy == SECOND
    assert [each.name for each in os.scandir(tmp_path)] == [FILE_NAME]


async def test_refuses_a_stream_that_was_made_again_with_an_older_policy(tmp_path: Path) -> None:
    await first(await stream(POLICY, SECOND), process(tmp_path), patience_seconds=0)
    with pytest.raises(PolicyRejected, match=r"policy revision 3, older than 4.*activate") as caught:
        await first(await stream(POLICY), process(tmp_path), patience_seconds=0)
    assert str(tmp_path / FILE_NAME) in str(caught.value)
    restarted = process(tmp_path).highwater
    assert restarted is not None
    assert restarted.mark == Mark.of(ROOT, verified(SECOND))


async def test_refuses_another_policy_under_the_number_it_followed(tmp_path: Path) -> None:
    await first(await stream(POLICY, SECOND), process(tmp_path), patience_seconds=0)
    fork = msgspec.structs.replace(SECOND, moc="other")
    with pytest.raises(PolicyRejected, match="another policy revision 4"):
        await first(await stream(POLICY, fork), process(tmp_path), patience_seconds=0)


async def test_refuses_an_older_trust_root_than_it_followed(tmp_path: Path) -> None:
    newer = msgspec.structs.replace(ROOT, version=2)
    high = HighWater.load(tmp_path / FILE_NAME)
    high.raise_to(newer, verified())
    with pytest.raises(PolicyRejected, match="trust root version 1, older than 2"):
        await first(await stream(POLICY, SECOND), process(tmp_path), patience_seconds=0)


async def test_goes_on_once_the_newest_is_published_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "POLL_SECONDS", 0.01)
    await first(await stream(POLICY, SECOND), process(tmp_path), patience_seconds=0)
    bus, again = await stream(POLICY), process(tmp_path)
    waiting = asyncio.create_task(first(bus, again, patience_seconds=60))
    while again.position < 1:  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)
    assert not waiting.done()
    await publish(bus, SECOND)
    await waiting
    assert again.verified is not None
    assert again.verified.policy == SECOND


async def test_a_running_process_looks_through_a_stream_that_is_shorter_than_it_was() -> None:
    in_force = InForce(ROOT, SITE)
    await refresh(await stream(POLICY, SECOND), in_force)
    third = with_policy(revision=5, previous=verified(SECOND).digest)
    with pytest.raises(PolicyRejected, match="older than revision 4"):
        await refresh(await stream(POLICY), in_force)
    assert in_force.verified is not None
    assert in_force.verified.policy == SECOND
    assert await refresh(await stream(POLICY, SECOND, third), in_force)
    assert in_force.verified.policy == third


def test_a_damaged_mark_is_told_and_not_taken_for_none(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    for data in (b"", b"{}", b"\xff", b"[1]"):
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match="is damaged"):
            HighWater.load(path)


async def test_a_mark_that_cannot_be_written_is_told_and_the_policy_counts(tmp_path: Path) -> None:
    in_force = InForce(ROOT, SITE, highwater=HighWater(tmp_path / "gone" / FILE_NAME))
    await first(await stream(POLICY), in_force, patience_seconds=0)
    assert in_force.verified is not None
    assert in_force.highwater is not None
    with pytest.raises(StorageError, match="cannot be written"):
        in_force.highwater.raise_to(ROOT, verified(SECOND))
    assert in_force.highwater.mark == Mark.of(ROOT, verified(SECOND))
