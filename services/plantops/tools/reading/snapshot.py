"""The archive's served snapshot, opened for one question: read only, bounded, with no way out of the file.

Only questions that stand in this program are asked of it; what people choose are values.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from plantops.tools.contract import ToolError

if TYPE_CHECKING:
    import duckdb

Row: TypeAlias = tuple[Any, ...]
Value: TypeAlias = str | int | float | datetime
R = TypeVar("R")

_SETTINGS: Final[Mapping[str, str | bool | int]] = {
    "memory_limit": "256MB",
    "threads": 1,
    # No file, no network, no extension; and what does not fit into memory fails.
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "temp_directory": "",
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An open snapshot, for the thread that opened it."""

    connection: duckdb.DuckDBPyConnection

    def rows(self, sql: str, values: Mapping[str, Value], most: int) -> Sequence[Row]:
        """Up to `most` rows; `$name` in the SQL stands for a value, times in UTC without a zone."""
        return self.connection.execute(sql, dict(values)).fetchmany(most)


async def ask(path: Path, seconds: float, question: Callable[[Snapshot], R]) -> R:
    """Answer a question in a thread of its own, in at most so many seconds.

    Raises: ToolError `unavailable` when there is no snapshot that can be read, `too_large` when it takes too
    much time or memory.
    """
    return await asyncio.to_thread(_ask, path, seconds, question)


def _ask(path: Path, seconds: float, question: Callable[[Snapshot], R]) -> R:
    # DuckDB takes some ten megabytes, which a process whose callers never ask for history shall not pay.
    import duckdb  # noqa: PLC0415

    if not path.is_file():
        raise ToolError("unavailable", "the archive has served no snapshot here: look whether it runs")
    try:
        with closing(duckdb.connect(str(path), read_only=True, config=dict(_SETTINGS))) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET lock_configuration = true")
            timer = threading.Timer(seconds, connection.interrupt)
            timer.daemon = True
            timer.start()
            try:
                return question(Snapshot(connection))
            finally:
                timer.cancel()
    except (duckdb.InterruptException, duckdb.OutOfMemoryException) as error:
        raise ToolError(
            "too_large", "that takes too long: ask for a shorter time or a longer step"
        ) from error
    except duckdb.Error as error:
        said = str(error).strip().splitlines()[0]
        raise ToolError(
            "unavailable", f"the archive's snapshot cannot be read ({said}): try again"
        ) from error


def in_utc(moment: datetime | None) -> datetime | None:
    """A time of the file, which has no zone, with its zone."""
    return None if moment is None else moment.replace(tzinfo=UTC)
