"""A stop is written, recorded and reconciled, whatever else goes on at its asset, the gate and the audit."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
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
from plantops.runtime.nkey import NKey
from support.history import claims_audited, lives, verified
from support.site import PATIENCE_SECONDS, RunningSite, ask, make_site, send_patiently, status_of, until

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


async def check_stop(site: RunningSite, command: CommandId, *, waits_for_audit: bool = True) -> None:
    """Claimed and executed once, and its record is in an audit that holds together.

    Where the audit was away the journal stood in, and the record came later.
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
    if waits_for_audit:
        assert audited[command] <= min(written)
    await until(
        lambda: verified(site), lambda report: report.ok and not report.uncovered, "the audit verifies"
    )


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


@pytest.mark.parametrize("before", [simulated, waiting, on_its_way], ids=lambda f: f.__name__)
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


async def test_a_stop_gets_through_while_the_gate_is_killed(site: RunningSite) -> None:
    async with site.session("alice") as alice:
        stop = asyncio.create_task(stopped(alice, "valve-001"))
        for name in ("gate", "gate-2"):
            os.kill(site.running.processes[name], signal.SIGKILL)
            break
        command = await stop
    await check_stop(site, command)


@asynccontextmanager
async def full_audit(site: RunningSite) -> AsyncIterator[None]:
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
        await api("STREAM.UPDATE.AUDIT", {**found["config"], "max_bytes": found["state"]["bytes"] + 1})
        yield
    finally:
        await api("STREAM.UPDATE.AUDIT", found["config"])
        await client.close()


async def test_a_stop_is_written_while_the_audit_is_full_and_recorded_when_it_has_room(
    site: RunningSite,
) -> None:
    async with site.session("alice") as alice:
        async with full_audit(site):
            command = await stopped(alice, "valve-001")
            assert command not in await claims_audited(site)
        await check_stop(site, command, waits_for_audit=False)


async def test_a_stop_is_written_while_the_notary_is_away(site: RunningSite) -> None:
    async with site.session("alice") as alice:
        async with site.paused("notary"):
            command = await stopped(alice, "valve-001")
        await check_stop(site, command)
