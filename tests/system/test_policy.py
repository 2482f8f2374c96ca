"""Another policy while the site runs: followed without a restart, never backwards, and expiry is safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from plantops.cli.session import Session
from plantops.deployment.policies import (
    cosign_policy,
    publish_policy,
    read_document,
    read_envelope,
    sign_policy,
    verify_envelope,
    write_policy,
)
from plantops.deployment.roots import adopt, draft_root, envelope_path, read, sign_next
from plantops.events import Event, decode
from plantops.events.base import Digest, SiteName
from plantops.events.governance import PolicyRefused, RootRotated
from plantops.events.operations import PolicyPublished
from plantops.events.queries import CommandStatus
from plantops.events.subjects import policy as policy_subject
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.policy.document import POLICY_TYPE, ArgumentLimit, OperationRule, Policy
from plantops.policy.highwater import FILE_NAME, HighWater, Mark
from support.site import RunningSite, ask, running, until

POSITION = "valve-001.SetPosition"


def revise(site: RunningSite, change: Callable[[Policy], Policy]) -> None:
    """Write and sign the next revision upon the one that was signed last."""
    folder = site.site.folder
    before = verify_envelope(folder, read_envelope(folder))
    document, _bytes = read_document(folder)
    following = msgspec.structs.replace(
        change(document), revision=document.revision + 1, previous=before.digest
    )
    write_policy(folder, following)
    sign_policy(folder, [SigningKey.load(folder.root_key)])


async def activate(site: RunningSite) -> None:
    async with site.policy_office() as (bus, signer):
        assert await publish_policy(bus, signer, site.site.folder)


async def clock() -> datetime:
    return datetime.now(UTC)


def limited(high: float) -> Callable[[Policy], Policy]:
    """The valve may be opened so far."""
    rule = OperationRule(limits={"PERCENT": ArgumentLimit(low=0.0, high=high)})
    return lambda policy: msgspec.structs.replace(policy, operations={**policy.operations, POSITION: rule})


async def judged(here: Session, value: float, outcome: str) -> CommandStatus:
    """Ask anew until the answer is the awaited one: followers look once a second."""

    async def look() -> CommandStatus:
        return await ask(here, POSITION, {"PERCENT": value})

    return await until(look, lambda now: outcome in (now.outcome, now.phase), f"{value} is {outcome}")


async def test_commands_follow_a_new_revision_and_never_an_old_one_again(demo: RunningSite) -> None:
    folder = demo.site.folder
    pids = demo.running.processes
    async with demo.session("alice") as alice:
        assert (await ask(alice, POSITION, {"PERCENT": 60.0})).outcome == "command.executed"
        first = read_envelope(folder)

        revise(demo, limited(30.0))
        await activate(demo)
        denied = await judged(alice, 50.0, "denied")
        assert "50" in denied.reason or "PERCENT" in denied.reason, denied
        assert (await ask(alice, POSITION, {"PERCENT": 55.0})).phase == "denied"
        assert (await demo.plant({"state": True}))["valve_command_percent"] != 55.0
        assert (await ask(alice, POSITION, {"PERCENT": 20.0})).outcome == "command.executed"

        before = verify_envelope(folder, first)
        async with demo.policy_office() as (bus, signer):
            event = PolicyPublished(
                site=SiteName("demo"),
                revision=before.policy.revision,
                digest=before.digest,
                envelope=first.decode(),
            )
            subject = policy_subject("demo")
            message = signer.message(subject, event, id="rolled-back", time=datetime.now(UTC))
            await bus.publish(message, stream="POLICY")

        # Behind the rolled-back one stands another good one: once that is followed, all have seen both.
        revise(demo, limited(25.0))
        async with demo.policy_office() as (bus, signer):
            assert await publish_policy(bus, signer, folder)
        await judged(alice, 28.0, "denied")
        assert (await ask(alice, POSITION, {"PERCENT": 50.0})).phase == "denied"
        assert (await ask(alice, POSITION, {"PERCENT": 22.0})).outcome == "command.executed"
    assert demo.running.processes == pids
    newest = verify_envelope(folder, read_envelope(folder))
    for process in ("gate", "adapter-plc1", "adapter-opc1"):
        path = folder.state(process) / FILE_NAME

        async def mark(path: Path = path) -> Mark | None:
            return HighWater.load(path).mark

        await until(mark, lambda at: at is not None and at.digest == newest.digest, f"{path} follows")


def rotate(site: RunningSite) -> SigningKey:
    """Another root key in the place of the old one, which is given back; the policy is signed by both."""
    folder = site.site.folder
    old, new = SigningKey.load(folder.root_key), SigningKey.generate()
    draft_root(folder, add=[new.public.to_base64()], remove=[old.public.to_base64()])
    sign_next(folder, [old, new])
    cosign_policy(folder, folder.policy_envelope, [new], None)
    adopt(folder, read(envelope_path(folder)))
    folder.root_key.unlink()
    new.save(folder.root_key)
    return old


async def said_of(site: RunningSite, kind: str) -> list[Event]:
    """What the gate said of policies and roots."""
    async with site.reader() as bus:
        return [
            decode(each.data) for each in await bus.history("COMMANDS", f"cmd.demo.{kind}.gate.*", 1, 100)
        ]


async def test_a_running_site_follows_another_root_and_no_longer_believes_the_key_that_went(
    demo: RunningSite,
) -> None:
    folder = demo.site.folder
    old = rotate(demo)
    async with demo.policy_office() as (bus, signer):
        assert not await publish_policy(bus, signer, folder), "the policy is the same, under another root"
        document, _bytes = read_document(folder)
        standing = verify_envelope(folder, read_envelope(folder))
        stolen = msgspec.structs.replace(
            limited(99.0)(document), revision=document.revision + 1, previous=standing.digest
        )
        envelope = dsse.encode(dsse.seal(POLICY_TYPE, msgspec.json.encode(stolen), old))
        event = PolicyPublished(
            site=SiteName("demo"), revision=stolen.revision, digest=Digest(""), envelope=envelope.decode()
        )
        message = signer.message(policy_subject("demo"), event, id="stolen", time=datetime.now(UTC))
        await bus.publish(message, stream="POLICY")
    revise(demo, limited(15.0))
    await activate(demo)
    async with demo.session("alice") as alice:
        await judged(alice, 18.0, "denied")
        assert (await ask(alice, POSITION, {"PERCENT": 12.0})).outcome == "command.executed"
    (rotated,) = await said_of(demo, "root_rotated")
    assert isinstance(rotated, RootRotated)
    assert rotated.root_version == 2
    refused = (await said_of(demo, "policy_refused"))[-1]
    assert isinstance(refused, PolicyRefused)
    assert "none is trusted" in refused.reason


async def test_an_expired_policy_denies_all_but_a_stop(demo: RunningSite) -> None:
    """The last in this module: nothing normal runs here afterwards."""
    end = datetime.now(UTC) + timedelta(seconds=20)
    revise(
        demo,
        lambda policy: msgspec.structs.replace(
            policy,
            expires=end,
            operations={name: rule for name, rule in policy.operations.items() if name != POSITION},
        ),
    )
    await activate(demo)
    async with demo.people("alice", "bob") as (alice, bob):
        await judged(alice, 61.0, "command.executed")
        await until(clock, lambda now: now > end, "the policy expires")
        before = await demo.plant({"state": True})
        denied = await ask(alice, POSITION, {"PERCENT": 62.0})
        assert denied.phase == "denied", denied
        assert "expired" in denied.reason
        assert (await ask(alice, "pump-001.SetSpeed", {"RPM": 10})).phase == "denied"
        assert (await ask(bob, "pump-001.StopPump")).outcome == "command.executed"
    after = await demo.plant({"state": True})
    assert (after["writes_valve"], after["writes_speed"]) == (before["writes_valve"], before["writes_speed"])
    assert after["writes_run"] == before["writes_run"] + 1


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A site of this module alone: its last policy has expired."""
    yield from running(tmp_path_factory.mktemp("policy") / "demo")


@pytest.fixture(autouse=True)
async def healthy(demo: RunningSite) -> None:
    await demo.healthy()
