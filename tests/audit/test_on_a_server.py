"""The audit on a real broker, under exactly the rights that are declared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plantops.audit.export import export
from plantops.audit.notary_process import NotaryProcess
from plantops.audit.offline import verify_folder
from plantops.audit.records import read_records
from plantops.audit.specs import auditor_spec, notary_spec
from plantops.audit.trust import trust_of
from plantops.audit.verify import verify_online
from plantops.events.base import SiteName
from plantops.flow.auditing import Auditor
from plantops.flow.context import Context
from plantops.flow.declaration import ProcessSpec
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.journal import Journal
from plantops.flow.signing import Signer
from plantops.ledger.finding import FindingKind
from plantops.runtime.errors import BrokerError
from support.audit_log import SITE
from support.audit_site import audit_policy, in_force
from support.nats import AUDIT_PROVISIONER, Broker, StartBroker, nats_server, until
from support.plant_samples import PLANT, key

__all__ = ["nats_server"]

SPECS = (
    notary_spec(SITE),
    auditor_spec(SITE),
    ProcessSpec("gate", audits=True),
    ProcessSpec("press", audits=True),
)
TRUST = trust_of(audit_policy())


@dataclass
class Live:
    """A broker, and whoever is connected to it; tasks and connections end with the test."""

    broker: Broker
    folder: Path
    fatal: list[BrokerError] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    buses: list[JetStreamBus] = field(default_factory=list)

    async def bus(self, identity: str) -> JetStreamBus:
        seed = self.broker.keys[identity].seed
        bus = await JetStreamBus.connect(self.broker.url, identity, seed=seed, on_fatal=self.fatal.append)
        self.buses.append(bus)
        return bus

    async def auditor(self, name: str) -> Auditor:
        auditor = Auditor(
            SITE,
            await self.bus(name),
            Signer(name, key(name)),
            Journal(self.folder / name, key(name)),
            patience_seconds=20,
            retry_seconds=0.05,
        )
        self.tasks.append(asyncio.create_task(auditor.run()))
        return auditor

    async def notary(self) -> tuple[NotaryProcess, asyncio.Task[None]]:
        context = Context(
            site=SiteName(SITE),
            name="notary",
            bus=await self.bus("notary"),
            signer=Signer("notary", key("notary")),
            in_force=in_force(audit_policy()),
            plant=PLANT,
            state=self.folder / "notary",
        )
        process = NotaryProcess(context, poll_seconds=0.05)
        task = asyncio.create_task(process.run())
        self.tasks.append(task)
        return process, task

    async def api(self, call: str, body: dict[str, object] | None = None) -> dict[str, object]:
        """What only the audit's provisioner may do."""
        client = await self.broker.connect(AUDIT_PROVISIONER)
        answer = await client.request(f"$JS.API.{call}", json.dumps(body or {}).encode(), timeout=5)
        result: dict[str, object] = json.loads(answer.data)
        assert "error" not in result, result
        return result

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for bus in self.buses:
            await bus.close()


@pytest.fixture
async def live(nats_server: StartBroker, tmp_path: Path) -> AsyncIterator[Live]:
    live = Live(await nats_server(SPECS), tmp_path)
    yield live
    await live.close()
    assert live.fatal == []


def covered(process: NotaryProcess) -> int:
    notary = process.notary
    return notary.agreed.size if notary is not None and notary.agreed is not None else 0


async def write(auditors: list[Auditor], count: int) -> None:
    await asyncio.gather(*(one.append("done", b"%d" % number) for one in auditors for number in range(count)))


async def test_records_are_signed_verified_shown_and_exported_through_a_kill_of_the_notary(
    live: Live,
) -> None:
    process, task = await live.notary()
    auditors = [await live.auditor("gate"), await live.auditor("press")]
    await write(auditors, 300)
    await until(lambda: covered(process) == 600)
    task.cancel()
    second, _ = await live.notary()
    later, _ = await live.notary()
    await write(auditors, 200)
    await until(lambda: covered(second) == 1000 and covered(later) == 1000)

    reader = await live.bus("auditor")
    report = await verify_online(reader, TRUST, remembered=live.folder / "seen")
    assert (report.findings, report.size, report.covered) == ((), 1000, 1000)
    shown = await read_records(reader, site=SITE, trusted=TRUST.trusted, last=5, writer="gate")
    assert [one.record.sequence for one in shown if one.record] == [496, 497, 498, 499, 500]
    await export(reader, live.folder / "out", site=SITE)
    assert verify_folder(live.folder / "out", TRUST).findings == ()


async def test_an_update_of_the_stream_that_drops_records_is_refused_and_named(live: Live) -> None:
    process, task = await live.notary()
    await write([await live.auditor("gate")], 100)
    await until(lambda: covered(process) == 100)
    config = (await live.api("STREAM.INFO.AUDIT"))["config"]
    assert isinstance(config, dict)
    await live.api("STREAM.UPDATE.AUDIT", {**config, "max_msgs": 40, "discard": "old"})
    await until(lambda: process.refusal)
    task.cancel()
    again, _ = await live.notary()
    await until(lambda: again.refusal)
    report = await verify_online(await live.bus("auditor"), TRUST)
    assert (FindingKind.STREAM_GAP, 60) in {(finding.kind, finding.index) for finding in report.findings}
    assert any("refused" in finding.detail for finding in report.findings)


async def test_a_stream_that_was_deleted_and_made_again_is_refused_and_named(live: Live) -> None:
    process, task = await live.notary()
    await write([await live.auditor("gate")], 50)
    await until(lambda: covered(process) == 50)
    await verify_online(await live.bus("auditor"), TRUST, remembered=live.folder / "seen")
    config = (await live.api("STREAM.INFO.AUDIT"))["config"]
    assert isinstance(config, dict)
    await live.api("STREAM.DELETE.AUDIT")
    await live.api("STREAM.CREATE.AUDIT", config)
    await until(lambda: process.refusal)
    task.cancel()
    again, _ = await live.notary()
    await until(lambda: again.refusal)
    report = await verify_online(await live.bus("auditor"), TRUST, remembered=live.folder / "seen")
    assert FindingKind.SHRUNK in {finding.kind for finding in report.findings}


async def test_an_auditor_of_a_process_waits_through_a_restart_of_the_broker(live: Live) -> None:
    process, _ = await live.notary()
    gate = await live.auditor("gate")
    await write([gate], 20)
    await live.broker.server.stop()
    assert not await gate.append_or_journal("stop", b"20")
    await live.broker.start(with_streams=False)
    await write([gate], 20)
    await until(lambda: covered(process) == 41)
    assert not gate.journal.path.exists()
    assert (await verify_online(await live.bus("auditor"), TRUST)).findings == ()
