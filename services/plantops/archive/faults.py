"""What DuckDB says when a file is taken, damaged, or the disk is full, as errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from plantops.runtime.errors import IntegrityError, PlantOpsError, StorageBusy, StorageFull

_FULL = ("no space left", "file too large", "disk quota", "could not write all bytes")
_TAKEN = ("could not set lock", "conflicting lock")
# What DuckDB raises for a file that it cannot use. A commit on a full disk is a TransactionException, as is a
# conflict: that one is a mistake of ours, and so are all others.
_FAULTS = (
    duckdb.IOException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.SerializationException,
)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raises: StorageBusy, StorageFull, IntegrityError in place of DuckDB's own errors about `path`."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        # A block whose checksum is wrong is told by the bare root of DuckDB's errors.
        is_fault = isinstance(error, (*_FAULTS, OSError)) or type(error) is duckdb.Error
        if not is_fault and not is_full(error):
            raise
        raise meant(error, path) from error


def is_full(error: Exception) -> bool:
    """Whether it says that the disk is full."""
    said = str(error).lower()
    return any(word in said for word in _FULL)


def meant(error: Exception, path: Path) -> PlantOpsError:
    """The error of ours for one about a database file."""
    said = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
    lower = str(error).lower()
    if any(word in lower for word in _TAKEN):
        return StorageBusy(
            f"{path} is open in another process ({said}): one process owns it, stop the other one",
            path=str(path),
        )
    if is_full(error):
        return StorageFull(f"{path} cannot grow, the disk is full ({said}): make room on it", path=str(path))
    return IntegrityError(
        f"{path} is damaged ({said}): move it away and rebuild it with `plantops replay`", path=str(path)
    )
