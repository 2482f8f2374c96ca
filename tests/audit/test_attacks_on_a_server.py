"""What whoever holds the audit provisioner's credential can do to the log, and who notices: on a real broker.

The notary refuses, the witness disputes, and an auditor's machine refuses what it is shown; each with a
memory of its own, so that losing one of them leaves the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from audit.test_on_a_server import Live, covered, write
from plantops.audit.export import export
from plantops.audit.notary_process import NotaryProcess
from plantops.audit.offline import verify_folder
from plantops.audit.specs import auditor_spec, notary_spec, witness_spec
from plantops.audit.trust import trust_of
from plantops.audit.verify import verify_online
from plantops.audit.witness_process import WitnessProcess
from plantops.events.base import SiteName
from plantops.flow.context import Context
from plantops.flow.cosigned import disputes, newest_note
from plantops.flow.declaration import ProcessSpec
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.signing import Signer
from plantops.ledger.witnesses import WitnessPolicy
from support.audit_log import SITE
from support.audit_site import audit_policy, in_force
from support.nats import StartBroker, nats_server, until
from support.plant_samples import PLANT, key

__all__ = ["nats_server"]

SPECS = (
    notary_spec(SITE),
    auditor_spec(SITE),
    witness_spec(SITE),
    ProcessSpec("gate", audits=True),
    ProcessSpec("press", audits=True),
)
TRUST = trust_of(audit_policy())
Attack: TypeAlias = Callable[[Live], Awaitable[None]]


@pytest.fixture
async def live(nats_server: StartBroker, tmp_path: Path) -> AsyncIterator[Live]:
    live = Live(await nats_server(SPECS), tmp_path)
    yield live
    await live.close()
    assert live.fatal == []


async def witnessing(live: Live) -> WitnessProcess:
    context = Context(
        site=SiteName(SITE),
        name="witness",
        bus=await live.bus("witness"),
        signer=Signer("witness", key("witness")),
        in_force=in_force(audit_policy()),
        plant=PLANT,
        state=live.folder / "witness",
    )
    process = WitnessProcess(context, poll_seconds=0.05)
    live.tasks.append(asyncio.create_task(process.run()))
    return process


async def watched(live: Live, count: int = 100) -> tuple[NotaryProcess, WitnessProcess, JetStreamBus]:
    """A log that notary and witness have signed, and that an auditor has verified."""
    notary, _task = await live.notary()
    witness = await witnessing(live)
    await write([await live.auditor("gate")], count)
    await until(lambda: covered(notary) == count and witness.cosigned == count)
    reader = await live.bus("auditor")
    assert (await verify_online(reader, TRUST, remembered=live.folder / "seen")).ok
    return notary, witness, reader


async def config(live: Live) -> dict[str, object]:
    found = (await live.api("STREAM.INFO.AUDIT"))["config"]
    assert isinstance(found, dict)
    return found


async def shrink(live: Live) -> None:
    await live.api("STREAM.UPDATE.AUDIT", {**await config(live), "max_msgs": 40, "discard": "old"})


async def recreate(live: Live) -> None:
    before = await config(live)
    await live.api("STREAM.DELETE.AUDIT")
    await live.api("STREAM.CREATE.AUDIT", before)


async def forget_checkpoints(live: Live) -> None:
    info = (await live.api("STREAM.INFO.CHECKPOINTS"))["config"]
    assert isinstance(info, dict)
    await live.api("STREAM.DELETE.CHECKPOINTS")
    await live.api("STREAM.CREATE.CHECKPOINTS", info)
    await recreate(live)


@pytest.mark.parametrize("attack", [shrink, recreate, forget_checkpoints])
async def test_notary_witness_and_auditor_each_refuse(live: Live, attack: Attack) -> None:
    notary, witness, reader = await watched(live)
    await attack(live)
    await until(lambda: notary.refusal and witness.refusal)
    report = await verify_online(reader, TRUST, remembered=live.folder / "seen")
    assert not report.ok
    told = await disputes(reader, SITE)
    assert [(one.size, one.detail) for one in told] == [(100, witness.refusal)]


@pytest.mark.parametrize("attack", [shrink, recreate, forget_checkpoints])
async def test_what_happened_while_all_of_them_were_down_is_refused_too(live: Live, attack: Attack) -> None:
    _notary, _witness, reader = await watched(live)
    for task in live.tasks:
        task.cancel()
    await asyncio.gather(*live.tasks, return_exceptions=True)
    await attack(live)
    notary, _task = await live.notary()
    witness = await witnessing(live)
    await until(lambda: notary.refusal and witness.refusal)
    assert not (await verify_online(reader, TRUST, remembered=live.folder / "seen")).ok


async def test_a_witness_is_fooled_by_no_second_log_that_a_whole_new_site_shows(
    live: Live, nats_server: StartBroker, tmp_path: Path
) -> None:
    """A fork shown to two clients: the same keys, another broker, another history."""
    _notary, witness, reader = await watched(live)
    await export(reader, tmp_path / "first", site=SITE)
    other = Live(await nats_server(SPECS), tmp_path / "other")
    (tmp_path / "other").mkdir()
    try:
        forger, _task = await other.notary()
        await write([await other.auditor("gate")], 120)
        await until(lambda: covered(forger) == 120)
        fooled = Live(other.broker, live.folder, buses=other.buses, tasks=other.tasks)
        second = await witnessing(fooled)
        await until(lambda: second.refusal)
        shown = await other.bus("auditor")
        report = await verify_online(shown, TRUST, remembered=live.folder / "seen")
        assert not report.ok
        required = WitnessPolicy.of([*TRUST.witness_policy.witnesses.values()], 1)
        assert required.check(await newest_note(shown, SITE)) is not None
        assert verify_folder(tmp_path / "first", TRUST, witnesses=required).ok
        assert witness.refusal == ""
    finally:
        await other.close()


async def test_the_notary_goes_on_without_a_witness_and_the_witness_catches_up(live: Live) -> None:
    notary, _witness, reader = await watched(live)
    live.tasks[1].cancel()
    await write([await live.auditor("press")], 300)
    await until(lambda: covered(notary) == 400)
    again = await witnessing(live)
    await until(lambda: again.cosigned == 400)
    required = WitnessPolicy.of([*TRUST.witness_policy.witnesses.values()], 1)
    report = await verify_online(reader, TRUST, witnesses=required)
    assert (report.findings, report.covered) == ((), 400)
