"""What an export holds: a manifest for programs, a README for people, a folder that is whole or not there."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from plantops.archive.durable import durable, make_folder, sync_folder
from plantops.archive.manifest import File
from plantops.runtime.errors import IntegrityError, Refused, StorageFull

MANIFEST: Final = "manifest.json"
README: Final = "README.txt"

Format: TypeAlias = Literal["parquet", "csv", "duckdb"]


class TableFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file that holds rows of one table, or of all where `table` is "*"."""

    path: str
    table: str
    rows: int
    bytes: int
    sha256: str


class StreamTold(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stream is in this export; `stored_at` is microseconds since 1970."""

    stream: str
    created: str
    sequence: int
    stored_at: int


class ExportManifest(msgspec.Struct, frozen=True, kw_only=True):
    """`scope` "all": `files` hold every log row that the archive ever stored, so that it can be made again.
    "window": what one file held at that time, or less. `tables` are further files, beside `files`."""

    version: int = 1
    site: str
    made_at: datetime
    format: Format
    scope: Literal["all", "window"]
    since: datetime | None = None
    until: datetime | None = None
    streams: tuple[StreamTold, ...] = ()
    files: tuple[File, ...] = ()
    tables: tuple[TableFile, ...] = ()

    @property
    def rows(self) -> int:
        """Of all files together."""
        return sum(file.rows for file in self.files) + sum(file.rows for file in self.tables)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which has the name `target` when this ends and no name before.

    Raises: Refused when `target` exists; StorageFull.
    """
    if target.exists() or target.is_symlink():
        raise Refused(f"{target} exists and is not written over: name a new folder", reason="exists")
    make_folder(target.parent)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        yield part
        part.rename(target)
        sync_folder(target.parent)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                f"{target} cannot be written, the disk is full: make room on it", path=str(target)
            ) from error
        raise


def finish(folder: Path, manifest: ExportManifest) -> None:
    """Write the manifest and the README; the last thing in an export."""
    with durable(folder / README) as file:
        file.write(readme(manifest).encode())
    with durable(folder / MANIFEST) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def read_export(folder: Path) -> ExportManifest | None:
    """What an export says of itself; None when the folder is none. Raises: IntegrityError."""
    path = folder / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=ExportManifest)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise IntegrityError(
            f"{path} is damaged ({error}): take the export from a copy", path=str(path)
        ) from error


_HOW: Final = {
    "parquet": "SELECT * FROM read_parquet('sample/**/*.parquet', hive_partitioning = false);",
    "csv": "SELECT * FROM read_csv('sample.csv', allow_quoted_nulls = false);",
    "duckdb": "duckdb plantops.duckdb 'SELECT * FROM samples LIMIT 10'",
}
_SCOPE: Final = {
    "all": "Everything: each log row that the archive ever stored. The archive can be made again from it.",
    "window": "A window: what the archive or its snapshot held when this was made, or less. It is\n"
    "for reading; nothing is made again from it.",
}


def readme(manifest: ExportManifest) -> str:
    """The same for people."""
    streams = "\n".join(f"  {one.stream}: {one.sequence}" for one in manifest.streams)
    since, until = manifest.since or "the beginning", manifest.until or "the end"
    bounds = (
        f"\nFrom {since} to {until}, by the time of each row." if manifest.since or manifest.until else ""
    )
    return f"""PlantOps, archive of site {manifest.site!r}, exported {manifest.made_at:%Y-%m-%d %H:%M} UTC.

{_SCOPE[manifest.scope]}{bounds}

{len(manifest.files) + len(manifest.tables)} files, {manifest.rows} rows.
{MANIFEST} names each with its SHA-256.

Times are UTC. Samples and roll-ups name source and tag. Quality is the OPC classic byte: 192 and above is
good, 64 to 127 uncertain, else bad. In CSV a missing value is empty, an empty text is "", times are ISO 8601,
bytes are hexadecimal.

To read it with DuckDB:
  {_HOW[manifest.format]}

Last sequence of each stream in it:
{streams or "  (not told)"}
"""
