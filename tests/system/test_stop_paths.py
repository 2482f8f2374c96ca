"""A stop is written, recorded and reconciled, whatever else goes on at its asset, the gate and the audit."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from plantops.cli.following import Follower
from plantops.cli.session import Session
from plantops.deployment.identities import AUDIT_PROVISIONER
from plantops.events.base import CommandId
from plantops.events.command_parts import command_id
from plantops.events.commands import CommandClaimed, CommandExecuted, SafePermitted
from plantops.events.queries import CommandStatus
from plantops.runtime.errors import BrokerError
from plantops.runtime.nkey import NKey
from support.history import claims_audited, lives, verified
from support.site import PATIENCE_SECONDS, RunningSite, ask, make_site, send_patiently, status_of, until
from system.test_policy import activate, revise
from system.test_replicas import gate_at_work

STOPS = {"pump-001": "StopPump", "valve-001": "CloseValve"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    made = make_site(tmp_path_factory.mktemp("stops") / "demo")
    made.gates = 2
    try:
        asyncio.run(made.start())
        yield made
        made.stop()
    finally:
        if made.process is not None:
            made.clear(made.process)


async def stopped(here: Session, asset: str) -> CommandId:
    """Ask for a stop as `plantops command` does, until the door answers; follow it to its end."""
    intent = here.intent(asset, STOPS[asset], {})
    async with Follower(here, intent, lambda _told: None) as follower:
        await send_patiently(here, intent)
        status = await follower.until_rest(PATIENCE_SECONDS)
    assert status.outcome == "command.executed", status
    return command_id(intent.actor, intent.key)


async def check_stop(site: RunningSite, command: CommandId) -> None:
    """Claimed and executed once, recorded before it was written, and all is in an audit that holds together.

    Where AUDIT gave no answer for a moment the host's own disk had the record first, and AUDIT got it later.
    """
    async with site.reader() as bus:
        life = (await lives(bus))[command]
    assert [life.count(kind) for kind in (SafePermitted, CommandClaimed, CommandExecuted)] == [1, 1, 1]
    (executed,) = (event for event in life.events if isinstance(event, CommandExecuted))
    written = [step.written_at for step in executed.steps if step.written_at is not None]
    assert written
    audited = await until(
        lambda: claims_audited(site), lambda found: command in found, "the claim is audited"
    )
    assert audited[command] <= min(written) or is_journaled(site, command)
    await until(
        lambda: verified(site), lambda report: report.ok and not report.uncovered, "the audit verifies"
    )


def is_journaled(site: RunningSite, command: CommandId) -> bool:
    """Whether a host's disk took the record of its claim, before it was written."""
    lines = [
        line
        for path in (site.root / "logs").glob("*.log")
        for line in path.read_text(errors="replace").splitlines()
    ]
    words = ("audit.journaled", "command.claimed", command)
    return any(all(word in line for word in words) for line in lines)


async def just_asked(here: Session) -> CommandStatus:
    """A command that nobody has looked at yet, or that is simulated at this moment."""
    taken = await here.send(here.intent("pump-001", "SetSpeed", {"RPM": 1300}))

    async def look() -> CommandStatus | None:
        return await status_of(here, taken.command)

    found = await until(look, lambda status: status is not None, "the gate knows it")
    assert found is not None
    return found


async def simulated(here: Session) -> CommandStatus:
    """A HIGH command that waits for its confirmation."""
    return await ask(here, "pump-001.SetSpeed", {"RPM": 1500})


async def waiting(here: Session) -> CommandStatus:
    """A CRITICAL command that waits for a second person."""
    return await ask(here, "pump-001.ResetFault")


async def on_its_way(here: Session) -> CommandStatus:
    """A confirmed HIGH command, somewhere between its permit and its outcome."""
    first = await ask(here, "pump-001.SetSpeed", {"RPM": 1400})
    taken = await here.send(here.intent("pump-001", "SetSpeed", {"RPM": 1400}, confirms=first))

    async def look() -> CommandStatus | None:
        return await status_of(here, taken.command)

    found = await until(look, lambda status: status is not None and status.phase != "asked", "it is judged")
    assert found is not None
    return found


@pytest.mark.parametrize("before", [just_asked, simulated, waiting, on_its_way], ids=lambda f: f.__name__)
async def test_a_stop_overtakes_the_other_command_of_its_asset(site: RunningSite, before: Any) -> None:
    async with site.people("alice", "bob") as (alice, bob):
        other = await before(alice if before is not waiting else bob)
        command = await stopped(bob, "pump-001")

        async def ended() -> CommandStatus | None:
            return await status_of(bob, other.command)

        await until(
            ended,
            lambda now: (
                now is not None
                and (
                    now.phase in ("cancelled", "denied", "expired")
                    or now.outcome not in ("", "command.claimed")
                )
            ),
            "the other command is over",
        )
    await check_stop(site, command)


@asynccontextmanager
async def flooded(site: RunningSite) -> AsyncIterator[None]:
    """All logins of the site knock as fast as they can."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "plantops.bench.flood", str(site.root), "alice", "bob", "carol",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS)
        yield
    finally:
        process.kill()
        await process.wait()


async def test_a_stop_gets_through_while_every_login_floods_the_doors(site: RunningSite) -> None:
    async with site.session("alice") as alice:
        async with flooded(site):
            commands = [await stopped(alice, "valve-001") for _ in range(3)]
        for command in commands:
            await check_stop(site, command)


@pytest.mark.parametrize("has_it", [False, True], ids=["asked", "taken"])
async def test_a_stop_gets_through_while_the_gate_at_work_is_killed(site: RunningSite, has_it: bool) -> None:
    at_work = await gate_at_work(site)
    async with site.session("alice") as alice:
        intent = alice.intent("valve-001", STOPS["valve-001"], {})
        async with Follower(alice, intent, lambda _told: None) as follower:
            sending = asyncio.create_task(send_patiently(alice, intent))
            if has_it:
                await sending
            os.kill(site.running.processes[at_work], signal.SIGKILL)
            await sending
            status = await answered(follower)
        assert status.outcome == "command.executed", status
        command = command_id(intent.actor, intent.key)
    assert await gate_at_work(site) != at_work
    await check_stop(site, command)


async def answered(follower: Follower) -> CommandStatus:
    """Where the command comes to rest, asked again while no gate answers."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await follower.until_rest(PATIENCE_SECONDS)
            except BrokerError:
                await asyncio.sleep(0.05)


Change = Callable[[dict[str, Any]], dict[str, Any]]
"""From what the server says of a stream to other settings of it."""


def full(found: dict[str, Any]) -> dict[str, Any]:
    return {"max_bytes": found["state"]["bytes"] + 1}


def deaf(_found: dict[str, Any]) -> dict[str, Any]:
    """Nobody hears what writers say, as without the account AUDIT."""
    return {"subjects": ["unheard.>"]}


def refusing(_found: dict[str, Any]) -> dict[str, Any]:
    """Every record is an error."""
    return {"max_msg_size": 16}


@asynccontextmanager
async def changed_audit(site: RunningSite, change: Change) -> AsyncIterator[None]:
    """AUDIT takes nothing more, by the hand of its provisioner."""
    client = Client()
    key = NKey.load(site.site.folder.office / f"{AUDIT_PROVISIONER}.nk")
    await client.connect(site.running.url, nkeys_seed_str=key.seed, inbox_prefix=b"_INBOX.provisioner")

    async def api(name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        reply = await client.request(
            f"$JS.API.{name}", msgspec.json.encode(body) if body else b"", timeout=10
        )
        answer: dict[str, Any] = msgspec.json.decode(reply.data)
        assert "error" not in answer, answer
        return answer

    found = await api("STREAM.INFO.AUDIT")
    try:
        await api("STREAM.UPDATE.AUDIT", {**found["config"], **change(found)})
        yield
    finally:
        await api("STREAM.UPDATE.AUDIT", found["config"])
        await client.close()


@pytest.mark.parametrize("change", [full, deaf, refusing], ids=lambda change: change.__name__)
async def test_a_stop_is_written_while_the_audit_takes_nothing_and_recorded_when_it_does(
    site: RunningSite, change: Change
) -> None:
    async with site.session("alice") as alice:
        async with changed_audit(site, change):
            command = await stopped(alice, "valve-001")
            assert command not in await claims_audited(site)
            assert is_journaled(site, command)
        await check_stop(site, command)


async def test_a_stop_is_written_while_the_notary_is_away(site: RunningSite) -> None:
    async with site.session("alice") as alice:
        async with site.paused("notary"):
            command = await stopped(alice, "valve-001")
        await check_stop(site, command)


async def test_a_stop_is_written_while_the_notary_is_away_and_the_audit_refuses(site: RunningSite) -> None:
    async with site.session("alice") as alice:
        async with site.paused("notary"), changed_audit(site, refusing):
            command = await stopped(alice, "valve-001")
            assert is_journaled(site, command)
        await check_stop(site, command)


async def test_a_stop_is_written_after_the_policy_has_expired(site: RunningSite) -> None:
    """The last in this module: nothing normal runs here afterwards."""
    end = datetime.now(UTC) + timedelta(seconds=8)
    revise(site, lambda policy: msgspec.structs.replace(policy, expires=end))
    await activate(site)
    async with site.people("alice", "bob") as (alice, bob):

        async def ask_anew() -> CommandStatus:
            return await ask(alice, "valve-001.SetPosition", {"PERCENT": 40.0})

        await until(
            ask_anew, lambda now: now.phase == "denied" and "expired" in now.reason, "the policy expires"
        )
        commands = [await stopped(alice, "valve-001"), await stopped(bob, "pump-001")]
        async with changed_audit(site, full):
            commands.append(await stopped(bob, "pump-001"))
    for command in commands:
        await check_stop(site, command)
