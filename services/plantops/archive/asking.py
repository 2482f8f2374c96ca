"""Questions of people to a served snapshot or an export: read only, bounded, with no way out of the file.

Whatever the SQL says, it reads this file alone, writes nothing anywhere, and ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import duckdb

from plantops.archive.mistakes import sentence
from plantops.runtime.errors import IntegrityError, Refused, StorageBusy, StorageError

"""The served snapshot, below the archive's own folder."""

_ROWS_AT_ONCE: Final = 1000
_LOCKED: Final[dict[str, str | bool | int | float | list[str]]] = {
    # No file, no network, no extension, and none of this program's own variables by their names.
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    # What does not fit into memory fails: a query must not fill the disk on which the archive writes.
    "temp_directory": "",
}

Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one question may take. `seconds` count while DuckDB works, not while its reader looks at rows."""

    seconds: float = 30.0
    memory_megabytes: int = 512
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Age:
    """When the file was written, and the broker's clock of the newest message in it (None: none yet)."""

    written_at: datetime
    newest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """`rows` can be taken once. Raises: Refused as `ask` does, also while rows are taken."""

    columns: tuple[str, ...]
    rows: Iterator[Row]


class Snapshot:
    """An open file; `ask` one thing after the other."""

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection, limits: Limits) -> None:
        self.path: Final = path
        self._connection: Final = connection
        self._limits: Final = limits

    def ask(self, sql: str, parameters: Mapping[str, str] | None = None) -> Answer:
        """Raises: Refused when the SQL is wrong, wants something else than to read, or takes too much."""
        budget = _Budget(self._connection, self._limits)
        with self._told(budget):
            statement = _only(self._connection.extract_statements(sql))
            with budget.running():
                self._connection.execute(statement, dict(parameters or {}))
        described = self._connection.description or []
        return Answer(_unique([str(column[0]) for column in described]), self._rows(budget))

    def _rows(self, budget: _Budget) -> Iterator[Row]:
        while True:
            with self._told(budget), budget.running():
                rows = self._connection.fetchmany(_ROWS_AT_ONCE)
            if not rows:
                return
            yield from rows

    @contextmanager
    def _told(self, budget: _Budget) -> Iterator[None]:
        try:
            yield
        except duckdb.InterruptException as error:
            raise Refused(
                f"gave up after {self._limits.seconds:g} s: ask for less, such as a shorter time, "
                "or give it longer with --seconds",
                reason="too_slow",
            ) from error
        except duckdb.OutOfMemoryException as error:
            raise Refused(
                f"it needs more than {self._limits.memory_megabytes} MB: ask for less, such as fewer columns "
                "or a shorter time, or give it more with --memory",
                reason="too_large",
            ) from error
        except duckdb.Error as error:
            raise Refused(sentence(str(error), self.names()), reason="sql") from error

    def age(self) -> Age:
        """How old it is; a file that does not tell is as old as its last change."""
        if "served" in self.names():
            found = self._connection.execute("SELECT written_at, newest_at FROM served").fetchone()
            if found is not None:
                return Age(_utc(found[0]), None if found[1] is None else _utc(found[1]))
        changed = datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
        newest = None
        if "position" in self.names():
            found = self._connection.execute("SELECT max(stored_at) FROM position").fetchone()
            newest = _utc(found[0]) if found and found[0] is not None else None
        return Age(changed, newest)

    def names(self) -> Mapping[str, Sequence[str]]:
        """Tables and views with their columns."""
        result: dict[str, list[str]] = {}
        found = self._connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal "
            "ORDER BY table_name, column_index"
        )
        for table, column in found.fetchall():
            result.setdefault(str(table), []).append(str(column))
        return result


@contextmanager
def opened(path: Path, limits: Limits | None = None) -> Iterator[Snapshot]:
    """Open a file for questions; another one may take its place meanwhile.

    Raises: StorageError when it is not there, StorageBusy when a process writes it, IntegrityError when it
    is no file of DuckDB.
    """
    limits = limits or Limits()
    if not path.is_file():
        raise StorageError(
            f"{path} does not exist: the archive writes it within seconds of its start, look at "
            "`plantops status`",
            path=str(path),
        )
    connection = _connect(path, limits)
    try:
        yield Snapshot(path, connection, limits)
    finally:
        connection.close()


def _connect(path: Path, limits: Limits) -> duckdb.DuckDBPyConnection:
    settings = {"memory_limit": f"{limits.memory_megabytes}MB", "threads": limits.threads, **_LOCKED}
    try:
        connection = duckdb.connect(str(path), read_only=True, config=settings)
    except duckdb.Error as error:
        said = str(error).strip().splitlines()[0]
        if "lock" in said.lower():
            raise StorageBusy(
                f"{path} is being written by another process: ask the served snapshot instead, "
                "without --file",
                path=str(path),
            ) from error
        raise IntegrityError(
            f"{path} cannot be read ({said}): a running archive replaces its snapshot within seconds",
            path=str(path),
        ) from error
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    return connection


class _Budget:
    """The time that is left for one question."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, limits: Limits) -> None:
        self._connection = connection
        self._left = limits.seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        started = time.monotonic()
        timer = threading.Timer(max(self._left, 0.001), self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._left -= time.monotonic() - started


def _only(statements: Sequence[Any]) -> Any:
    if len(statements) != 1:
        raise Refused(f"{len(statements)} statements: ask one thing at a time, as one SELECT", reason="sql")
    return statements[0]


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Column names that may stand in one object: the second `a` is `a_1`."""
    result: list[str] = []
    for name in names:
        fresh, number = name, 0
        while fresh in result:
            number += 1
            fresh = f"{name}_{number}"
        result.append(fresh)
    return tuple(result)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
