"""The archive made again from the streams: samples/s, and audit records/s with their proofs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from pathlib import Path

import nats

from plantops.archive.exporting import export_all
from plantops.archive.replay import Wanted
from plantops.archive.specs import REPLAYER, REPLAYER_AUDIT
from plantops.archive.store import Store
from plantops.audit.trust import AuditTrust, trust_of
from plantops.bench.archive_seen import check_counters, stream_seen
from plantops.bench.audit import WRITERS, append_all, covered, login_as, running_auditor, signature_ceiling
from plantops.bench.figures import Bench, Figure, Load, Tell, figure
from plantops.bench.ground import Ground, ground
from plantops.bench.publisher import SAMPLES, Publisher, publisher, source_file
from plantops.cli.replaying import proof_of, replay_files, replay_streams
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.deployment.runtime_file import read_running
from plantops.deployment.site import Site
from plantops.ledger.tree import Tree
from plantops.runtime.errors import IntegrityError, SettingsError
from plantops.runtime.nkey import NKey

TAGS = 2000
RECORDS = 30_000
FETCH = 500
GOAL_SAMPLES = 300_000.0
GOAL_RECORDS = 15_000.0
PUBLISH_SECONDS = 300.0
AUDIT = frozenset({"AUDIT", "CHECKPOINTS"})


async def _published(here: Ground, made: Publisher, frames: int) -> None:
    """All of them stand in TAGS. Raises: TimeoutError."""
    running = read_running(here.site.folder)
    if running is None:
        raise SettingsError("the bench's site does not run")
    async with asyncio.timeout(PUBLISH_SECONDS):
        while (stored := (await stream_seen(running.monitor_port)).state.messages) < frames:
            if (room := min(frames, stored + 2 * FETCH) - len(made.made_at)) > 0:
                made.make(room)
            await asyncio.sleep(0.05)


async def _timed(work: Awaitable[object]) -> float:
    begun = time.perf_counter()
    await work
    return time.perf_counter() - begun


async def fetched(site: Site, name: str, stream: str, count: int) -> float:
    """Seconds in which the bare client fetches the whole stream by the durable consumer of `name`."""
    async with login_as(site, name) as bus:
        await (await bus.reader(stream, name)).reset(1)
    running = read_running(site.folder)
    assert running is not None
    login = NKey.load(site.folder.identity(name).login)
    client = await nats.connect(
        running.url, nkeys_seed_str=login.seed, inbox_prefix=f"_INBOX.{name}".encode()
    )
    try:
        pull = await client.jetstream().pull_subscribe_bind(name, stream)
        begun, left = time.perf_counter(), count
        while left:
            messages = await pull.fetch(min(FETCH, left), timeout=10)
            left -= len(messages)
            await messages[-1].ack()
        return time.perf_counter() - begun
    finally:
        await client.close()


async def _samples(load: Load, tell: Tell) -> list[Figure]:
    frames = max(20, round(GOAL_SAMPLES * load.seconds * load.size) // SAMPLES)
    rates, bare = [], []
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(ground(source_file(TAGS), names=()))
        made = await stack.enter_async_context(publisher(here.site))
        tell(f"publishing {frames * SAMPLES:,} samples")
        await _published(here, made, frames)
        target = here.site.folder.root / "replayed.duckdb"
        for number in range(load.runs):
            tell(f"replaying {frames * SAMPLES:,} samples, run {number + 1} of {load.runs}")
            seconds = await _timed(replay_streams(here.site, target, Wanted(), quiet=True))
            rates.append(frames * SAMPLES / seconds)
            await asyncio.to_thread(check_counters, target, frames)
            bare.append(frames * SAMPLES / await fetched(here.site, REPLAYER, "TAGS", frames))
        tell("exporting, and replaying the export")
        from_files = [frames * SAMPLES / await asyncio.to_thread(_from_files, here.site, target, frames)]
    ceiling = figure(
        "ceiling.replay.fetch", "bare nats-py: fetch of the same stream", bare, "samples/s", better="higher"
    )
    return [
        ceiling,
        figure(
            "replay.samples",
            "replay of the streams into a new archive",
            rates,
            "samples/s",
            better="higher",
            goal=GOAL_SAMPLES,
            ceiling=ceiling,
            note=f"{frames * SAMPLES:,} samples, from opening the file to its close; every one checked after",
        ),
        figure(
            "replay.files",
            "replay of an export in Parquet, without a broker",
            from_files,
            "samples/s",
            better="higher",
            goal=GOAL_SAMPLES,
            note="every file held against its hash; every sample checked after",
        ),
    ]


def _from_files(site: Site, archive: Path, frames: int) -> float:
    """Seconds in which an export of everything in `archive` becomes an archive again."""
    store, exported = Store.open(archive, site.name), archive.with_name("exported")
    try:
        cursor = store.cursor()
        export_all(cursor, archive.with_name("parquet"), exported)
        cursor.close()
    finally:
        store.close()
    target = archive.with_name("again.duckdb")
    begun = time.perf_counter()
    replay_files(site, target, exported, None, quiet=True)
    seconds = time.perf_counter() - begun
    check_counters(target, frames)
    return seconds


async def _records(load: Load, tell: Tell) -> list[Figure]:
    async with ground(source_file(1), names=("notary",)) as here:
        trust, size = await _audited(here, load, tell)
        target = here.site.folder.root / "replayed.duckdb"
        whole, proved, bare = [], [], []
        for number in range(load.runs):
            tell(f"replaying {size:,} audit records, run {number + 1} of {load.runs}")
            only = Wanted(streams=AUDIT)
            seconds = await _timed(replay_streams(here.site, target, only, quiet=True))
            proving = await _timed(asyncio.to_thread(_prove, here.site, target, trust, size))
            whole.append(size / (seconds + proving))
            proved.append(size / proving)
            bare.append(size / await fetched(here.site, REPLAYER_AUDIT, "AUDIT", size))
    ceiling = figure(
        "ceiling.replay.audit_fetch", "bare nats-py: fetch of AUDIT", bare, "records/s", better="higher"
    )
    hashing = await asyncio.to_thread(_hash_ceiling, load)
    signature = await asyncio.to_thread(signature_ceiling, load, "replay")
    return [
        ceiling,
        hashing,
        signature,
        figure(
            "replay.records",
            "replay of the audit with the proof of every row",
            whole,
            "records/s",
            better="higher",
            goal=GOAL_RECORDS,
            ceiling=ceiling,
            note=f"{size:,} records: rows, then the tree over them against every checkpoint; whose signature "
            "each bears is `plantops audit verify`'s question",
        ),
        figure("replay.proof", "the proof alone", proved, "records/s", better="higher", ceiling=hashing),
    ]


async def _audited(here: Ground, load: Load, tell: Tell) -> tuple[AuditTrust, int]:
    """Whom to trust, and how many records stand in AUDIT, each under a checkpoint."""
    folder = here.site.folder
    trust = trust_of(verify_envelope(folder, read_envelope(folder)).policy)
    count = load.count(RECORDS, least=200)
    async with AsyncExitStack() as stack:
        auditors = [await stack.enter_async_context(running_auditor(here.site, name)) for name in WRITERS]
        tell(f"appending {count:,} audit records")
        await append_all(auditors, count // len(WRITERS))
    async with login_as(here.site, "auditor") as bus:
        return trust, (await covered(bus, trust, tell)).size


def _prove(site: Site, target: Path, trust: AuditTrust, size: int) -> None:
    """Raises: IntegrityError when a row is not proved: such a run is void."""
    proof = proof_of(site, target, trust, quiet=True)
    if not proof.ok or proof.good != size:
        raise IntegrityError(f"of {size} records {proof.good} were proved: {proof.findings[:3]}")


def _hash_ceiling(load: Load) -> Figure:
    """Leaf hash and tree over records that are in memory."""
    count = load.count(RECORDS, least=200)
    data = [number.to_bytes(8, "big") * 112 for number in range(count)]
    rates = []
    for _ in range(load.runs):
        begun, tree = time.perf_counter(), Tree()
        for record in data:
            tree.append(record)
        tree.root()
        rates.append(count / (time.perf_counter() - begun))
    return figure(
        "ceiling.replay.hash",
        "bare SHA-256 tree over records of 896 bytes",
        rates,
        "records/s",
        better="higher",
    )


async def run(load: Load, tell: Tell) -> list[Figure]:
    """Samples, then audit records."""
    return [*await _samples(load, tell), *await _records(load, tell)]


BENCH = Bench("replay", "Replay of the log", run)
