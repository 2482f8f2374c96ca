"""The served snapshot: a bounded copy of the live file that others open, renamed into place when it is whole.

It is written in DuckDB's storage version of 1.5, since Grafana's plug-in embeds that release and cannot open
what 2.0 writes by default. Whoever opened the snapshot before keeps reading the one that he has.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import structlog

from plantops.archive.faults import is_full, meant, translated
from plantops.archive.plant_tables import ROLLUPS
from plantops.archive.served_empty import empty_snapshot
from plantops.archive.served_tables import LATEST, SERVED, SERVED_WINDOW
from plantops.archive.windows import Cut, Windows, cuts
from plantops.runtime.errors import IntegrityError, PlantOpsError, StorageError

log = structlog.get_logger()

# What DuckDB 1.5 says of itself: "we can only read versions between 64 and 68".
READABLE: Final = range(64, 69)
# A quarter of the default: each of the many small tables takes whole blocks, anew every few seconds. A small
# plant's snapshot has 2 MB instead of 8; writing a large one takes as long.
BLOCK_SIZE: Final = 65536
_PART: Final = "served_part"
# What DuckDB raises for files; all others are mistakes of ours and stay what they are, but for a full disk.
_FAULTS: Final = (
    duckdb.IOException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.SerializationException,
)
# A DuckDB file begins with a checksum of 8 bytes, "DUCK", and the storage version as 8 bytes, little-endian.
_MAGIC: Final = b"DUCK"
_HEADER: Final = 20


@dataclass(frozen=True, slots=True)
class Served:
    """What was put into place. `as_of`: the broker's clock of the newest frame in it, None without one."""

    path: Path
    size: int
    rows: int
    seconds: float
    written_at: datetime
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class ServedAge:
    """How old a served snapshot is. `lag_seconds`: from its newest frame to its writing, None without one;
    `age_seconds`: from its writing to now."""

    written_at: datetime
    as_of: datetime | None
    age_seconds: float
    lag_seconds: float | None


def serve(
    cursor: duckdb.DuckDBPyConnection, target: Path, windows: Windows | None = None, *, mode: int = 0o644
) -> Served:
    """Write a snapshot of the live file behind `cursor` and rename it to `target`, whole or not at all.

    The cursor belongs to the calling thread and is outside a transaction; everything is read in one, so the
    tables agree with each other and with `position`. The owner of the live file goes on writing meanwhile.
    One process writes snapshots into a folder. After any error `target` is what it was, and trying again
    is right.

    Raises: StorageFull, StorageBusy, StorageError about the snapshot; IntegrityError about the live file, or
    when the snapshot came out in a version that DuckDB 1.5 cannot read.
    """
    begun = time.monotonic()
    part = target.with_name(f".{target.name}.part")
    written_at = datetime.now(UTC)
    with _faults(part, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(part)
        part.write_bytes(empty_snapshot(part))
        with _attached(cursor, part) as live:
            rows, as_of = _fill(cursor, live, windows or Windows(), written_at)
        require_readable(part)
        part.chmod(mode)
        size = part.stat().st_size
        _put_in_place(part, target)
    return Served(target, size, rows, time.monotonic() - begun, written_at, as_of)


def require_readable(path: Path) -> None:
    """Raises: IntegrityError when the file is none that DuckDB 1.5, and so Grafana's plug-in, can open."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
    version = int.from_bytes(header[12:_HEADER], "little")
    if header[8:12] != _MAGIC or version not in READABLE:
        raise IntegrityError(
            f"{path} has storage version {version}, DuckDB 1.5 reads {READABLE.start} to {READABLE.stop - 1}:"
            f" this DuckDB ({duckdb.__version__}) cannot write for Grafana, install the pinned one",
            path=str(path),
        )


def age(target: Path, now: datetime) -> ServedAge | None:
    """How old the snapshot is; None where there is none. Raises: IntegrityError when it cannot be read."""
    if not target.exists():
        return None
    with translated(target), duckdb.connect(str(target), read_only=True) as connection:
        row = connection.execute(f"SELECT written_at, as_of FROM {SERVED.name}").fetchone()  # noqa: S608 - own name
    if row is None:
        raise IntegrityError(f"{target} holds no snapshot: the next one replaces it", path=str(target))
    written_at, as_of = (None if one is None else one.replace(tzinfo=UTC) for one in row)
    assert written_at is not None
    lag = None if as_of is None else (written_at - as_of).total_seconds()
    return ServedAge(written_at, as_of, (now - written_at).total_seconds(), lag)


@contextmanager
def _faults(part: Path, target: Path) -> Iterator[None]:
    """An error is about the snapshot or about the live file; only the latter can be a damaged archive."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        _forget(part)
        if isinstance(error, duckdb.Error) and not isinstance(error, _FAULTS) and not is_full(error):
            raise
        own = isinstance(error, OSError) or str(part) in str(error) or _PART in str(error)
        said = meant(error, target if own else Path("the live archive"))
        if own and isinstance(said, IntegrityError):
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            said = StorageError(
                f"the snapshot {target} cannot be written ({reason}): see to its folder, it is tried again",
                path=str(target),
            )
        raise said from error
    except PlantOpsError:
        _forget(part)
        raise


@contextmanager
def _attached(cursor: duckdb.DuckDBPyConnection, part: Path) -> Iterator[str]:
    """The file as `_PART`, current while its tables are filled; gives the live file's name."""
    row = cursor.execute("SELECT current_database()").fetchone()
    assert row is not None
    live = _quoted(row[0])
    path = str(part).replace("'", "''")
    # Without a log: nobody recovers a part, it is whole or made anew.
    cursor.execute(f"ATTACH '{path}' AS {_PART} (RECOVERY_MODE 'NO_WAL_WRITES')")
    try:
        cursor.execute(f"USE {_PART}")
        cursor.begin()
        yield live
        cursor.commit()
        cursor.execute(f"USE {live}")
        # Detaching writes the file; what cannot be written shows here and not at a reader.
        cursor.execute(f"DETACH {_PART}")
    except BaseException:
        with suppress(duckdb.Error):
            cursor.rollback()
        cursor.execute(f"USE {live}")
        cursor.execute(f"DETACH DATABASE IF EXISTS {_PART}")
        raise


def _fill(
    cursor: duckdb.DuckDBPyConnection, live: str, windows: Windows, written_at: datetime
) -> tuple[int, datetime | None]:
    held = [(cut, _copy(cursor, live, cut)) for cut in cuts(cursor, live, windows)]
    _tell_windows(cursor, held)
    cursor.execute(_LATEST)
    cursor.execute(_SERVED, [written_at.replace(tzinfo=None)])
    found = cursor.execute(f"SELECT as_of FROM {SERVED.name}").fetchone()  # noqa: S608 - own name
    as_of = found[0] if found else None
    return sum(rows for _, rows in held), None if as_of is None else as_of.replace(tzinfo=UTC)


def _copy(cursor: duckdb.DuckDBPyConnection, live: str, cut: Cut) -> int:
    """One table; roll-ups ordered by their key, so that a panel for one tag reads one place of the file."""
    name = cut.table.name
    order = f"ORDER BY {', '.join(cut.table.key)}" if cut.table in ROLLUPS else ""
    if not cut.total:
        return 0
    names = ", ".join(cut.table.names)
    cursor.execute(f"INSERT INTO {name} SELECT {names} FROM {live}.{name} {cut.where} {order}", cut.values)  # noqa: S608 - own names
    counted = cursor.fetchone()
    return int(counted[0]) if counted else 0


def _tell_windows(cursor: duckdb.DuckDBPyConnection, held: list[tuple[Cut, int]]) -> None:
    lines = ", ".join("(?, ?, ?, CAST(? AS TIMESTAMP))" for _ in held)
    values = [value for cut, rows in held for value in (cut.table.name, rows, cut.total, cut.since)]
    cursor.execute(f"INSERT INTO {SERVED_WINDOW.name} VALUES {lines}", values)  # noqa: S608 - own name


_NEWEST: Final = " UNION ALL ".join(
    f"SELECT series, last_at, last_value, last_text, last_quality FROM {one.name}"  # noqa: S608 - own names
    for one in ROLLUPS
)
_LATEST: Final = f"""
    INSERT INTO {LATEST.name}
    SELECT series, max(last_at), arg_max(last_value, last_at), arg_max(last_text, last_at),
           arg_max(last_quality, last_at)
    FROM ({_NEWEST}) GROUP BY series ORDER BY series
"""  # noqa: S608 - own names
_SERVED: Final = f"""
    INSERT INTO {SERVED.name}
    SELECT coalesce((SELECT value FROM about WHERE name = 'site'), ''),
           coalesce((SELECT value FROM about WHERE name = 'schema'), ''),
           ?,
           (SELECT stored_at FROM position WHERE stream = 'TAGS'),
           (SELECT max(stored_at) FROM frame
            WHERE sequence <= (SELECT CAST(value AS BIGINT) FROM about WHERE name = 'rolled')),
           (SELECT max(stored_at) FROM position)
"""  # noqa: S608


def _sweep(part: Path) -> None:
    """Remove what a run that was killed left behind."""
    for left in (part, _log_of(part)):
        if left.exists():
            left.unlink()
            log.info("served.leftover_removed", path=str(left))


def _forget(part: Path) -> None:
    for left in (part, _log_of(part)):
        with suppress(OSError):  # the error under way says more, and the next run sweeps
            left.unlink(missing_ok=True)


def _put_in_place(part: Path, target: Path) -> None:
    _sync(part)
    stale = _log_of(target)
    if stale.exists():
        # It belongs to the snapshot before; a reader would play it into the new one.
        stale.unlink()
        log.warning("served.reader_log_removed", path=str(stale), cause="a reader opened it for writing")
    part.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
