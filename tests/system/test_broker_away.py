"""The broker, or the notary, stands still for a while: what is kept, what is refused, what goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from plantops.cli.session import Session
from plantops.events.base import CommandId
from plantops.events.command_parts import command_id
from plantops.events.commands import CommandExecuted
from plantops.events.queries import CommandAsked, CommandStatus
from support.history import (
    SourceHistory,
    check_commands,
    check_counter,
    check_source,
    claims_audited,
    history_of,
    lives,
    verified,
)
from support.site import RunningSite, ask, send_patiently, until

SMALL = 3


def bounded(site: RunningSite, source: str, frames: int) -> None:
    """Let the source keep no more than so many frames while the broker is away."""
    path = site.root / "sources" / f"{source}.toml"
    path.write_text(f"outbox_frames = {frames}\n{path.read_text()}")


async def ticks(site: RunningSite) -> int:
    """How often the plant's counters rose: ten times a second."""
    return int((await site.plant({"state": True}))["counter_ticks"])


async def pass_ticks(site: RunningSite, number: int) -> None:
    """Returns when the plant has gone on so far."""
    since = await ticks(site)
    await until(lambda: ticks(site), lambda now: now >= since + number, f"{number} ticks pass")


async def told(site: RunningSite, source: str) -> SourceHistory:
    async with site.reader() as bus:
        return await history_of(bus, source)


async def test_what_the_outbox_holds_is_delivered_and_what_it_lost_is_told_exactly(
    own_site: RunningSite,
) -> None:
    """plc1 keeps three frames, opc1 thousands; the broker stands still for six seconds."""
    bounded(own_site, "plc1", SMALL)
    await own_site.start()
    async with own_site.paused("broker"):
        await pass_ticks(own_site, 60)
    await own_site.healthy()

    small = await until(
        lambda: told(own_site, "plc1"), lambda now: bool(now.gaps) and _is_level(now), "plc1 has told its gap"
    )
    check_source(small)
    check_counter(small.values("plc1.counter0"))
    assert {gap.cause for gap in small.gaps} == {"outbox_full"}
    assert small.epochs == [1]

    large = await until(lambda: told(own_site, "opc1"), _is_level, "opc1 has delivered")
    check_source(large)
    assert not large.gaps
    # Which of these frames were old enough to be history depends on what was in flight: see the outbox.
    assert large.holes(1) == set()

    await a_killed_broker_loses_nothing(own_site)


def _is_level(found: SourceHistory) -> bool:
    """Whether every frame up to the newest is there or told."""
    return all(found.holes(epoch) == set(found.told(epoch)) for epoch in found.epochs)


async def a_killed_broker_loses_nothing(site: RunningSite) -> None:
    """On the same site: starting one costs more than all the rest."""
    await site.kill("broker")
    await site.healthy()
    found = await until(lambda: told(site, "opc1"), _is_level, "opc1 has delivered")
    check_source(found)
    assert not found.gaps


@asynccontextmanager
async def without_audit(site: RunningSite) -> AsyncIterator[None]:
    """Gate and hosts are new, and nobody tells them where their chains stand: they can append nothing."""
    async with site.paused("notary"):
        await site.kill("gate")
        await site.kill("field")
        yield


def journal(site: RunningSite, process: str) -> Path:
    return site.site.folder.state(process) / "audit.journal"


async def test_without_audit_nothing_is_written_but_a_stop_is(demo: RunningSite) -> None:
    async with demo.people("alice", "bob") as (alice, bob), demo.reader() as bus:
        simulated = await ask(alice, "pump-001.StartPump")
        started = await ask(alice, "pump-001.StartPump", confirms=simulated.command)
        assert started.outcome == "command.executed", started

        async with without_audit(demo):
            await demo.healthy()
            before = await demo.plant({"state": True})
            words = alice.intent("valve-001", "SetPosition", {"PERCENT": 33.0}, key="no-audit")
            await send_patiently(alice, words)
            stopped = await ask(bob, "pump-001.StopPump")
            assert stopped.outcome == "command.executed", stopped
            assert (await demo.plant({"state": True}))["run"] is False
            assert journal(demo, "adapter-plc1").exists()

            normal = command_id("alice", "no-audit")
            ended = await until(lambda: standing(alice, normal), _is_over, "the normal one is not done")
            assert ended.outcome != "command.executed", ended
            assert (await demo.plant({"state": True}))["writes_valve"] == before["writes_valve"]

        files = [journal(demo, process) for process in ("adapter-plc1", "adapter-opc1", "gate")]
        await until(lambda: existing(files), lambda found: not found, "the journals are reconciled")
        found = await lives(bus)
        assert found[stopped.command].count(CommandExecuted) == 1
        await check_commands(bus, [normal, stopped.command])
    await until(lambda: claims_audited(demo), lambda now: stopped.command in now, "the stop is in AUDIT")
    await until(lambda: verified(demo), lambda now: now.ok and not now.uncovered, "AUDIT verifies")


async def existing(files: list[Path]) -> list[Path]:
    return [path for path in files if path.exists()]


async def standing(here: Session, command: CommandId) -> CommandStatus:
    return await here.ask("command", "get", CommandAsked(command=command), CommandStatus)


def _is_over(status: CommandStatus) -> bool:
    return status.phase in ("denied", "expired", "cancelled") or status.outcome in (
        "command.failed",
        "command.outcome_unknown",
        "command.executed",
    )
