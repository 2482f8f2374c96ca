"""The work behind `plantops replay`: the logins, the new file, its digests and its proof."""

from __future__ import annotations

import asyncio
import fcntl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import duckdb

from plantops.archive.batch import Batch, Position
from plantops.archive.deriving import derive, load_tiles
from plantops.archive.differing import Difference, differing
from plantops.archive.digests import TableDigest, table_digests
from plantops.archive.faults import translated
from plantops.archive.importing import Loaded, load_parquet
from plantops.archive.losses import Loss
from plantops.archive.place import LIVE_FILE, SERVED_FILE
from plantops.archive.proving import Proof, prove
from plantops.archive.replay import Extent, Wanted, plant_and_audit, replay
from plantops.archive.specs import ARCHIVE, REPLAYER, REPLAYER_AUDIT
from plantops.archive.store import Store, insert
from plantops.audit.trust import AuditTrust
from plantops.cli.proofs import shown_progress
from plantops.cli.remembering import refuse_gone_back
from plantops.deployment.broker import connect
from plantops.deployment.place import Place
from plantops.flow.bus import Bus
from plantops.flow.checkpoints import open_checkpoint
from plantops.flow.policies import first
from plantops.ledger import checkpoint
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.tiles import CHECKPOINT_FILE
from plantops.policy.in_force import InForce
from plantops.policy.verify import load_root
from plantops.runtime.errors import IntegrityError, MalformedEnvelope, SettingsError, StorageBusy
from plantops.runtime.nkey import NKey

REPLAYED: Final = "replay/archive.duckdb"
POLICY_SECONDS: Final = 10.0
MAX_DIFFERENCES: Final = 20


@dataclass(frozen=True)
class Replayed:
    """What a replay came to. `compared` is the file whose audit rows were held against the proved ones."""

    path: Path
    extents: dict[str, Extent]
    digests: dict[str, TableDigest]
    missing: tuple[Loss, ...] = ()
    proof: Proof | None = None
    compared: Path | None = None
    differences: tuple[Difference, ...] = ()


async def replay_streams(site: Place, target: Path, wanted: Wanted, *, quiet: bool) -> dict[str, Extent]:
    """Make the archive at `target` anew. Raises: SettingsError, BrokerError, IntegrityError."""
    remove(target)
    store = Store.open(target, site.name)
    try:
        async with _logins(site) as (plant, audit):
            trust = InForce(load_root(site.folder.trust_root), site.name)
            await first(plant, trust, patience_seconds=POLICY_SECONDS)
            with shown_progress("replaying", quiet=quiet) as progress:
                return await replay(
                    store,
                    plant_and_audit((REPLAYER, REPLAYER_AUDIT), plant, audit),
                    trust,
                    site=site.name,
                    wanted=wanted,
                    progress=progress,
                )
    finally:
        await asyncio.to_thread(store.close)


def replay_files(
    site: Place, target: Path, parquet: Path, exported: Path | None, *, quiet: bool
) -> tuple[dict[str, Extent], Loaded]:
    """Make the archive at `target` anew from an export and the audit's tiles, without any broker.

    Raises: Refused, IntegrityError when a file is missing or was changed; StorageFull.
    """
    remove(target)
    store = Store.open(target, site.name)
    try:
        with shown_progress("reading files", quiet=quiet) as progress:
            loaded = load_parquet(store, parquet, progress=lambda _what, done, total: progress(done, total))
        if exported is not None:
            with shown_progress("reading tiles", quiet=quiet) as progress:
                load_tiles(store, exported, size_of(exported), progress)
        with shown_progress("deriving", quiet=quiet) as progress:
            derive(store, progress)
        with store.transaction() as connection:
            insert(
                connection,
                Batch(
                    positions={
                        told.stream: Position(told.sequence, told.created, told.stored_at)
                        for told in loaded.streams
                        if told.stream != "AUDIT"
                    }
                ),
            )
        extents = {stream: Extent(1, position.sequence) for stream, position in store.positions().items()}
    finally:
        store.close()
    return extents, loaded


def size_of(exported: Path) -> int:
    """How many records an export of the audit holds, by its own word; `proof_of` tells whether to believe it.

    Raises: IntegrityError when it has no checkpoint.
    """
    try:
        note = (exported / CHECKPOINT_FILE).read_text()
        return checkpoint.parse(note.rpartition("\n\n")[0] + "\n").size
    except (OSError, UnicodeDecodeError, MalformedEnvelope) as error:
        raise IntegrityError(
            f"{exported} holds no export of the audit ({error}): make one with `plantops audit export`",
            path=str(exported),
        ) from error


@asynccontextmanager
async def _logins(site: Place) -> AsyncIterator[tuple[Bus, Bus]]:
    plant = await connect(site, REPLAYER, NKey.load(site.folder.identity(REPLAYER).login))
    try:
        audit = await connect(site, REPLAYER_AUDIT, NKey.load(site.folder.identity(REPLAYER_AUDIT).login))
        try:
            yield plant, audit
        finally:
            await audit.close()
    finally:
        await plant.close()


def digests_of(path: Path, *, quiet: bool) -> dict[str, TableDigest]:
    """Of all tables that say something about the plant."""
    with _opened(path) as connection, shown_progress("hashing", quiet=quiet) as progress:
        return table_digests(connection, progress=lambda _table, done, total: progress(done, total))


def proof_of(site: Place, path: Path, trust: AuditTrust, *, up_to: int | None = None, quiet: bool) -> Proof:
    """Whether its audit rows stand in the signed tree.

    Raises: IntegrityError when nothing was signed yet; Refused when its last checkpoint is behind one that
    this machine has verified before.
    """

    highest: list[Checkpoint] = []

    def open_note(note: bytes) -> Checkpoint:
        found = open_checkpoint(note, site.name, trust.notary_keys)
        if not highest or found.size >= highest[0].size:
            highest[:] = [found]
        return found

    with _opened(path) as connection, shown_progress("proving", quiet=quiet) as progress:
        proof = prove(connection, open_note, progress, up_to=up_to)
    # An export may be an old one on purpose; the running log may not.
    if highest and up_to is None:
        refuse_gone_back(site, trust, highest[0])
    return proof


@contextmanager
def _opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with translated(path), duckdb.connect(str(path), read_only=True) as connection:
        yield connection


def compared(site: Place, path: Path) -> tuple[Path | None, tuple[Difference, ...]]:
    """The audit rows of the archive in use against those of `path`: the live file, while nobody owns it,
    else the served snapshot, as far back as that goes. None where there is neither."""
    state = site.folder.state(ARCHIVE)
    for candidate in (state / LIVE_FILE, state / SERVED_FILE):
        if not candidate.exists():
            continue
        try:
            with _opened(candidate) as used, _opened(path) as proved:
                return candidate, tuple(_differences(used, proved))
        except StorageBusy:
            continue
    return None, ()


def _differences(used: duckdb.DuckDBPyConnection, proved: duckdb.DuckDBPyConnection) -> Iterator[Difference]:
    """Only over the rows that both may have: the snapshot is a window, and the log goes on."""
    bounds = [
        connection.execute("SELECT min(position), max(position) FROM audit").fetchall()[0]
        for connection in (used, proved)
    ]
    if any(low is None for low, _high in bounds):
        return
    low, high = max(low for low, _high in bounds), min(high for _low, high in bounds)
    both = (
        found for found in differing(used, proved, "audit", limit=sys.maxsize) if low <= found.key[0] <= high
    )
    yield from islice(both, MAX_DIFFERENCES)


def remove(target: Path) -> None:
    """A replayed file of before makes room. Raises: SettingsError when it is none."""
    for path in (target, target.with_name(f"{target.name}.wal")):
        if path.exists() and not path.is_file():
            raise SettingsError(f"{path} is no file: name another target with --into")
        path.unlink(missing_ok=True)


def keep_old(site: Place, target: Path) -> Path | None:
    """Put a replayed file in the place of the live one, which is kept under a name of its own.

    Raises: StorageBusy when an archive runs.
    """
    live = site.folder.state(ARCHIVE) / LIVE_FILE
    live.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = None
    if live.exists():
        _refuse_owned(live)
        kept = live.with_name(f"{live.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        live.rename(kept)
        wal = live.with_name(f"{live.name}.wal")
        if wal.exists():
            wal.rename(kept.with_name(f"{kept.name}.wal"))
    target.rename(live)
    return kept


def _refuse_owned(live: Path) -> None:
    """DuckDB's own lock tells whether somebody has it open, also in a file that is damaged otherwise."""
    with live.open("rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageBusy(
                f"{live} is open in another process: stop the archive first (`plantops up`), then replace it",
                path=str(live),
            ) from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two replays would take each other's messages. Raises: StorageBusy."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageBusy(f"another replay runs in {folder}: wait for it", path=str(folder)) from error
        yield
