"""Audit records appended and verified per second, as the processes do it: signed, chained, notarised."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from plantops.audit.export import export
from plantops.audit.offline import verify_folder
from plantops.audit.trust import AuditTrust, trust_of
from plantops.audit.verify import OnlineReport, verify_online
from plantops.bench.ceilings import nats_ceilings
from plantops.bench.figures import Bench, Figure, Load, Tell, figure
from plantops.bench.ground import Ground, ground
from plantops.bench.publisher import source_file
from plantops.deployment.broker import connect
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.deployment.site import Site
from plantops.flow.auditing import Auditor
from plantops.flow.bus import Bus
from plantops.flow.journal import Journal
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import IntegrityError
from plantops.runtime.nkey import NKey

WRITERS = ("gate", "adapter-plc1", "adapter-opc1", "adapter-bench")
KIND = "bench.record"
BODY = b'{"tag":"plc1.pump.speed_setpoint","before":900,"value":1200,"read_back":1200,"verified":true}'
RECORD_BYTES = 900  # of such a record with its envelope: what the ceiling publishes
RECORDS = 2000
IN_FLIGHT = 1000
COVERED_SECONDS = 120.0


@asynccontextmanager
async def login_as(site: Site, name: str) -> AsyncIterator[Bus]:
    """A process's connection."""
    bus = await connect(site, name, NKey.load(site.folder.identity(name).login))
    try:
        yield bus
    finally:
        await bus.close()


@asynccontextmanager
async def running_auditor(site: Site, name: str) -> AsyncIterator[Auditor]:
    """A process's own audit chain, running."""
    state = site.folder.state(name)
    state.mkdir(parents=True, exist_ok=True)
    signer = Signer(name, SigningKey.load(site.folder.identity(name).signing))
    async with login_as(site, name) as bus:
        auditor = Auditor(
            site.name, bus, signer, Journal(state / "audit.journal", signer.key), patience_seconds=60.0
        )
        running = asyncio.create_task(auditor.run())
        try:
            yield auditor
        finally:
            running.cancel()
            await asyncio.wait([running])


async def append_all(auditors: Sequence[Auditor], count: int) -> float:
    """Records/s when `count` are given to each and all wait together."""
    begun = time.perf_counter()
    for start in range(0, count, IN_FLIGHT):
        size = min(IN_FLIGHT, count - start)
        await asyncio.gather(*(each.append(KIND, BODY) for each in auditors for _ in range(size)))
    return count * len(auditors) / (time.perf_counter() - begun)


async def _awaited(auditor: Auditor, count: int) -> float:
    """Records/s when each waits for the one before, as an act does that may not begin unrecorded."""
    begun = time.perf_counter()
    for _ in range(count):
        await auditor.append(KIND, BODY)
    return count / (time.perf_counter() - begun)


async def _appended(here: Ground, load: Load, tell: Tell, ceilings: Sequence[Figure]) -> list[Figure]:
    count = load.count(RECORDS, least=20)
    runs: dict[str, list[float]] = {"awaited": [], "one": [], "four": []}
    async with AsyncExitStack() as stack:
        auditors = [await stack.enter_async_context(running_auditor(here.site, name)) for name in WRITERS]
        await asyncio.gather(*(each.append(KIND, BODY) for each in auditors))
        for number in range(load.runs):
            tell(f"append, run {number + 1} of {load.runs}")
            runs["awaited"].append(await _awaited(auditors[0], max(5, count // 10)))
            runs["one"].append(await append_all(auditors[:1], count))
            runs["four"].append(await append_all(auditors, max(5, count // 4)))
    one, pipelined, _fetched = ceilings
    rows = (
        ("awaited", "audit append, each after the one before", one),
        ("one", "audit append, 1 writer", pipelined),
        ("four", "audit append, 4 writers", pipelined),
    )
    return [
        figure(f"audit.append.{name}", title, runs[name], "records/s", better="higher", ceiling=ceiling)
        for name, title, ceiling in rows
    ]


async def covered(bus: Bus, trust: AuditTrust, tell: Tell) -> OnlineReport:
    """A report in which the notary's checkpoint covers every record. Raises: TimeoutError."""
    async with asyncio.timeout(COVERED_SECONDS):
        while True:
            tell("waiting until the notary has signed all records")
            report = await verify_online(bus, trust)
            if not report.uncovered:
                return report
            await asyncio.sleep(1.0)


async def _verified(here: Ground, load: Load, tell: Tell, ceiling: Figure) -> list[Figure]:
    """Raises: IntegrityError when the log is not found whole."""
    folder = here.site.folder
    trust = trust_of(verify_envelope(folder, read_envelope(folder)).policy)
    online: list[float] = []
    offline: list[float] = []
    async with login_as(here.site, "auditor") as bus:
        report = await covered(bus, trust, tell)
        for number in range(load.runs):
            tell(f"verify, run {number + 1} of {load.runs}")
            begun = time.perf_counter()
            report = await verify_online(bus, trust)
            online.append(report.size / (time.perf_counter() - begun))
        tell("export")
        begun = time.perf_counter()
        target = folder.root / "export"
        await export(bus, target, site=here.site.name)
        exported = report.size / (time.perf_counter() - begun)
    for _ in range(load.runs):
        begun = time.perf_counter()
        told = await asyncio.to_thread(verify_folder, target, trust)
        offline.append(told.checked / (time.perf_counter() - begun))
        if not told.ok or told.checked != report.size:
            raise IntegrityError(f"the export of {report.size} records: {told.findings[:3]}")
    if not report.ok:
        raise IntegrityError(f"the log of {report.size} records: {report.findings[:3]}")
    note = f"{report.size:,} records, each signature checked"
    return [
        figure(
            "audit.verify.online",
            "audit verify from the broker",
            online,
            "records/s",
            better="higher",
            ceiling=ceiling,
            note=note,
        ),
        figure("audit.export", "audit export to files", exported, "records/s", better="higher"),
        figure(
            "audit.verify.offline",
            "audit verify of an export",
            offline,
            "records/s",
            better="higher",
            ceiling=ceiling,
            note=note,
        ),
    ]


def signature_ceiling(load: Load, name: str = "audit") -> Figure:
    """Bare Ed25519 verification of a record's bytes."""
    key = SigningKey.generate()
    message = bytes(RECORD_BYTES)
    signature, count = key.sign(message), load.count(3000, least=50)
    rates = []
    for _ in range(load.runs):
        begun = time.perf_counter()
        for _ in range(count):
            key.public.is_valid(message, signature)
        rates.append(count / (time.perf_counter() - begun))
    return figure(f"ceiling.{name}.signature", "bare Ed25519 verify", rates, "records/s", better="higher")


async def run(load: Load, tell: Tell) -> list[Figure]:
    """Append, verify online, export, verify offline."""
    ceilings = await nats_ceilings(load, tell, size=RECORD_BYTES, name="audit", unit="records/s")
    signature = await asyncio.to_thread(signature_ceiling, load)
    async with ground(source_file(1), names=("notary",)) as here:
        appended = await _appended(here, load, tell, ceilings)
        verified = await _verified(here, load, tell, signature)
    return [*ceilings, signature, *appended, *verified]


BENCH = Bench("audit", "Audit: append and verify", run)
