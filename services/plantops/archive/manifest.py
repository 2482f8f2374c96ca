"""Manifests of Parquet files: a chain of JSON files, each audited before the next one is made.

A manifest goes through `next_manifest` (a thread's cursor), `put` (the audit), `mark` (a transaction of the
store), in this order. Whatever is cut off is taken up again: a manifest that is on the disk and not marked is
the next one. So at most the newest manifest is not audited, and a number never means two contents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

import duckdb
import msgspec
import structlog

from plantops.archive.durable import durable
from plantops.archive.hours import record_rows
from plantops.archive.store import note
from plantops.runtime.errors import IntegrityError

KIND: Final = "archive.manifest"
"""The kind of the audit record; its body names number, digest and the digest before it."""

FOLDER: Final = "manifests"
MAX_FILES: Final = 10_000
NEWEST: Final = "manifest"  # in `about`: number and digest of the newest that was marked

Append: TypeAlias = Callable[[str, bytes], Awaitable[None]]

log = structlog.get_logger("plantops.archive")


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One Parquet file; `path` is below the parquet folder, times are microseconds since 1970."""

    path: str
    table: str
    stream: str
    created: str
    source: str
    hour: int
    up_to: int
    rows: int
    first: int
    last: int
    first_at: int
    last_at: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a pass. `previous` is the digest of the manifest before it, "" for the first one."""

    version: int = 1
    site: str
    number: int
    previous: str
    made_at: datetime
    files: tuple[File, ...]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the audit record."""

    number: int
    digest: str
    previous: str
    files: int
    rows: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest as it is on the disk; `digest` is the SHA-256 of the exact bytes."""

    manifest: Manifest
    digest: str

    @property
    def body(self) -> bytes:
        """What the audit is told."""
        one = self.manifest
        told = Told(
            number=one.number,
            digest=self.digest,
            previous=one.previous,
            files=len(one.files),
            rows=sum(file.rows for file in one.files),
        )
        return msgspec.json.encode(told)


def next_manifest(cursor: duckdb.DuckDBPyConnection, folder: Path, site: str) -> Stored | None:
    """The manifest that is to be audited now: one that was kept, or a new one of the files that no manifest
    names. None where there is nothing to tell.

    Raises: IntegrityError when the newest manifest on the disk is damaged; StorageFull.
    """
    number, digest = _marked(cursor)
    newest = last_stored(folder)
    if newest is not None and newest.manifest.number > number:
        return newest
    waiting = _waiting(cursor)
    if not waiting:
        return None
    if (newest is None and number) or (newest is not None and newest.manifest.number < number):
        log.error("archive.manifest_missing", number=number, advice="verify the Parquet files")
    manifest = Manifest(
        site=site,
        number=number + 1,
        previous=digest,
        made_at=datetime.now(UTC),
        files=tuple(waiting),
    )
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    with durable(manifest_path(folder, manifest.number)) as file:
        file.write(data)
    return Stored(manifest, hashlib.sha256(data).hexdigest())


def _waiting(cursor: duckdb.DuckDBPyConnection) -> list[File]:
    return known_files(cursor, f"WHERE manifest = '' ORDER BY path LIMIT {MAX_FILES}")


def known_files(cursor: duckdb.DuckDBPyConnection, which: str = "ORDER BY path") -> list[File]:
    """Files as the live file names them."""
    found = cursor.execute(
        "SELECT path, table_name, stream, created, source, epoch_us(hour), up_to, rows, first, last, "  # noqa: S608
        f"epoch_us(first_at), epoch_us(last_at), bytes, sha256 FROM parquet_file {which}"
    ).fetchall()
    names = File.__struct_fields__
    return [File(**dict(zip(names, row, strict=True))) for row in found]


def _marked(cursor: duckdb.DuckDBPyConnection) -> tuple[int, str]:
    """The newest manifest that is known to be audited. From it the next one goes on, whatever became of its
    file: so no number is used twice, and a changed file breaks no more than it must."""
    told = cursor.execute("SELECT value FROM about WHERE name = ?", [NEWEST]).fetchall()
    number, digest = told[0][0].split() if told else ("0", "")
    return int(number), digest


async def put(cursor: duckdb.DuckDBPyConnection, stored: Stored, append: Append) -> None:
    """Have a manifest audited, unless AUDIT is known to hold it: then a crash came between audit and mark.

    Raises: IntegrityError when AUDIT holds another content under this number; what `append` raises: then it
    stays the next manifest.
    """
    held = {told.digest for told in audited(cursor) if told.number == stored.manifest.number}
    if held - {stored.digest}:
        raise IntegrityError(
            f"AUDIT holds another manifest {stored.manifest.number} of the Parquet files than the disk: "
            "do not go on before both are examined"
        )
    if not held:
        await append(KIND, stored.body)


def mark(connection: duckdb.DuckDBPyConnection, stored: Stored) -> None:
    """Its files are audited: put that into the open transaction. Only after `put`."""
    connection.execute(
        "UPDATE parquet_file SET manifest = ? WHERE path IN (SELECT unnest(?))",
        [stored.digest, [file.path for file in stored.manifest.files]],
    )
    note(connection, NEWEST, f"{stored.manifest.number} {stored.digest}")


def audited(cursor: duckdb.DuckDBPyConnection) -> list[Told]:
    """What the archive has seen of AUDIT on manifests; a record that cannot be read counts as none."""
    found = cursor.execute("SELECT body FROM audit WHERE kind = ? ORDER BY position", [KIND]).fetchall()
    told: list[Told] = []
    for (body,) in found:
        try:
            told.append(msgspec.json.decode(body, type=Told))
        except msgspec.DecodeError:
            log.warning("archive.audit_unreadable", kind=KIND, body=body[:200])
    return told


def adopt(connection: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Take up the files that manifests on the disk name and a live file, made anew, does not know; in the
    open transaction. How many it were. The newest manifest counts as not audited until it is put again.

    Call it when the archive starts, before the first pass: else it would write these hours once more.
    Raises: IntegrityError when a manifest is damaged.
    """
    known = {path for (path,) in connection.execute("SELECT path FROM parquet_file").fetchall()}
    newest = max(numbers(folder), default=0)
    adopted, last = 0, None
    for number in numbers(folder):
        stored = read_manifest(folder, number)
        files = [file for file in stored.manifest.files if file.path not in known]
        record_rows(connection, [_row(file, "" if number == newest else stored.digest) for file in files])
        adopted += len(files)
        last = stored if number < newest else last
    if last is not None and _marked(connection)[0] < last.manifest.number:
        note(connection, NEWEST, f"{last.manifest.number} {last.digest}")
    return adopted


def _row(file: File, manifest: str) -> tuple[object, ...]:
    return (*(getattr(file, name) for name in File.__struct_fields__), manifest)


def manifest_path(folder: Path, number: int) -> Path:
    """Where a manifest lies, below the parquet folder."""
    return folder / FOLDER / f"{number:08d}.json"


def numbers(folder: Path) -> Sequence[int]:
    """The numbers of all manifests on the disk, rising."""
    return sorted(int(path.stem) for path in (folder / FOLDER).glob("*.json") if path.stem.isdecimal())


def last_stored(folder: Path) -> Stored | None:
    """The newest manifest on the disk. Raises: IntegrityError when it is damaged."""
    found = numbers(folder)
    return read_manifest(folder, found[-1]) if found else None


def read_manifest(folder: Path, number: int) -> Stored:
    """Raises: IntegrityError when it cannot be read, or says another number."""
    path = manifest_path(folder, number)
    try:
        data = path.read_bytes()
        manifest = msgspec.json.decode(data, type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise IntegrityError(
            f"{path} is no manifest ({error}): take it from a copy, AUDIT holds its digest", path=str(path)
        ) from error
    if manifest.number != number or manifest.version != 1:
        raise IntegrityError(
            f"{path} says number {manifest.number}, version {manifest.version}: take it from a copy",
            path=str(path),
        )
    return Stored(manifest, hashlib.sha256(data).hexdigest())


def manifests(folder: Path) -> Iterator[Stored]:
    """All manifests in order, one in memory at a time. Raises: IntegrityError at one that is damaged."""
    for number in numbers(folder):
        yield read_manifest(folder, number)
