"""Verifying an export of a million records: the tree alone, and each signature on all processors."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from plantops.audit.offline import Depth, verify_folder
from plantops.audit.trust import AuditTrust
from plantops.bench.figures import Bench, Figure, Load, Tell, figure
from plantops.bench.ground import temporary_folder
from plantops.flow.checkpoints import key_name, new_origin
from plantops.ledger import checkpoint, tiles
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.keys import SigningKey
from plantops.ledger.record import WriterChain, seal_record
from plantops.runtime.errors import IntegrityError

SITE = "bench"
WRITERS = ("gate", "adapter-plc1", "adapter-opc1", "adapter-bench")
RECORDS = 1_000_000
TREE_SECONDS = 10.0
SIGNATURES_SECONDS = 60.0
GOAL_CORES = 2  # the goals are for two processors
BODY = b'{"tag":"plc1.pump.speed_setpoint","before":900,"value":1200,"read_back":1200,"verified":true}'
AT = datetime(2026, 1, 1, tzinfo=UTC)


def entries(count: int, keys: dict[str, SigningKey], *, site: str = SITE) -> Iterator[bytes]:
    """Records of four writers in turn, signed and chained as theirs are."""
    chains = {name: WriterChain(site, name) for name in keys}
    names = tuple(keys)
    for number in range(count):
        name = names[number % len(names)]
        stored = seal_record(chains[name].next("command.executed", f"c{number // 8}", BODY, AT), keys[name])
        chains[name] = chains[name].after(stored)
        yield stored


def make_export(folder: Path, count: int) -> AuditTrust:
    """An export of `count` records with its checkpoint, about 0.6 GB for a million; its trust."""
    keys = {name: SigningKey.generate() for name in WRITERS}
    notary = SigningKey.generate()
    written = tiles.write_tiles(folder, entries(count, keys), b"")
    signed = checkpoint.sign(
        Checkpoint(new_origin(SITE), written.size, written.root), notary, name=key_name(SITE)
    )
    (folder / tiles.CHECKPOINT_FILE).write_bytes(signed)
    return AuditTrust(
        site=SITE,
        notaries=(notary.public.to_base64(),),
        writers={name: (key.public.to_base64(),) for name, key in keys.items()},
    )


async def _timed(folder: Path, trust: AuditTrust, depth: Depth) -> float:
    begun = time.perf_counter()
    report = await asyncio.to_thread(verify_folder, folder, trust, depth=depth)
    if not report.ok:
        raise IntegrityError(f"the export of {report.size} records: {report.findings[:3]}")
    return time.perf_counter() - begun


def _signatures(seconds: float) -> float:
    """Bare Ed25519 verifications per second of one process."""
    key = SigningKey.generate()
    message = bytes(500)
    signature, done, begun = key.sign(message), 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for _ in range(100):
            key.public.is_valid(message, signature)
        done += 100
    return done / (time.perf_counter() - begun)


def _hashes(folder: Path) -> Callable[[], float]:
    """Seconds for reading all bundles and hashing leaves and nodes, and nothing else."""

    def run() -> float:
        begun = time.perf_counter()
        sha256 = hashlib.sha256
        for path in sorted((folder / "tile" / "entries").rglob("*")):
            if not path.is_file():
                continue
            data, at, level = path.read_bytes(), 0, []
            while at < len(data):
                end = at + 2 + int.from_bytes(data[at : at + 2], "big")
                level.append(sha256(b"\x00" + data[at + 2 : end]).digest())
                at = end
            while len(level) > 1:
                level = [
                    sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)
                ]
        return time.perf_counter() - begun

    return run


async def _ceilings(folder: Path, load: Load) -> tuple[Figure, Figure]:
    loop = asyncio.get_running_loop()
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, _signatures, 0.01) for _ in range(cores)))
        seconds = load.bounded(2.0)
        rates = await asyncio.gather(
            *(loop.run_in_executor(pool, _signatures, seconds) for _ in range(cores))
        )
    bare = await asyncio.to_thread(_hashes(folder))
    return (
        figure(
            "ceiling.audit_million.signatures",
            f"bare Ed25519 verify, {cores} processes together",
            sum(rates),
            "records/s",
            better="higher",
        ),
        figure("ceiling.audit_million.tree", "bare read and SHA-256 tree", bare, "s", better="lower"),
    )


async def run(load: Load, tell: Tell) -> list[Figure]:
    """Make the records once, then verify them both ways."""
    count = load.count(RECORDS, least=600)
    async with temporary_folder() as folder:
        tell(f"making {count:,} records")
        begun = time.perf_counter()
        trust = await asyncio.to_thread(make_export, folder / "export", count)
        made = count / (time.perf_counter() - begun)
        tell("ceilings")
        signatures, tree = await _ceilings(folder / "export", load)
        runs: dict[Depth, list[float]] = {"tree": [], "records": []}
        for number in range(min(load.runs, 3)):
            for depth, seconds in runs.items():
                tell(f"verify ({depth}), run {number + 1}")
                seconds.append(await _timed(folder / "export", trust, depth))
    is_full = count == RECORDS
    note = f"{count:,} records of {len(WRITERS)} writers; the goal is for {GOAL_CORES} processors"
    return [
        signatures,
        tree,
        figure("audit_million.made", "made: chained, signed, written as tiles", made, "records/s"),
        figure(
            "audit_million.tree",
            "verified, tree and checkpoint alone",
            runs["tree"],
            "s",
            better="lower",
            goal=TREE_SECONDS if is_full else None,
            ceiling=tree,
            note=note,
        ),
        figure(
            "audit_million.records",
            "verified, every signature and chain",
            runs["records"],
            "s",
            better="lower",
            goal=SIGNATURES_SECONDS if is_full else None,
            note=note,
        ),
        figure(
            "audit_million.rate",
            "verified, every signature and chain",
            [count / seconds for seconds in runs["records"]],
            "records/s",
            better="higher",
            ceiling=signatures,
            note=note,
        ),
    ]


BENCH = Bench("audit_million", "Audit: a million records verified offline", run)
