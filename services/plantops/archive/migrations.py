"""The schema of the live file, brought forward step by step; a step that was released is never edited."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import duckdb

from plantops.archive.views import create_views
from plantops.runtime.errors import IntegrityError, SettingsError


@dataclass(frozen=True, slots=True)
class Migration:
    """Brings a file from schema `number` - 1 to `number`, inside one transaction."""

    number: int
    text: str
    apply: Callable[[duckdb.DuckDBPyConnection], None]


def _first(connection: duckdb.DuckDBPyConnection) -> None:
    # Not from `tables`: those are what all steps together come to.
    connection.execute((files("plantops.archive") / "schema_1.sql").read_text())


MIGRATIONS: Final = (Migration(1, "all tables", _first),)


def migrate(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    site: str,
    migrations: tuple[Migration, ...] = MIGRATIONS,
) -> None:
    """Bring an open file to the newest schema; each step is whole or not there at all.

    Raises: SettingsError when the file's schema is newer than this program; IntegrityError when it is of
    another site, or no archive at all.
    """
    found, owner = _found(connection, path)
    newest = migrations[-1].number
    if found > newest:
        raise SettingsError(
            f"{path} has schema {found}, this program knows {newest}: a newer PlantOps made it, use that one"
        )
    if owner not in ("", site):
        raise IntegrityError(f"{path} is the archive of site {owner!r}, not of {site!r}", path=str(path))
    for migration in migrations[found:]:
        connection.begin()
        migration.apply(connection)
        connection.execute("DELETE FROM about WHERE name IN ('schema', 'site')")
        connection.execute(
            "INSERT INTO about VALUES ('schema', ?), ('site', ?)", [str(migration.number), site]
        )
        connection.commit()
    create_views(connection)


def _found(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[int, str]:
    names = {
        row[0]
        for row in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
        ).fetchall()
    }
    if not names:
        return 0, ""
    if "about" not in names:
        raise IntegrityError(f"{path} is a DuckDB file, but no archive of PlantOps", path=str(path))
    facts = dict(connection.execute("SELECT name, value FROM about").fetchall())
    return int(facts.get("schema", "0")), facts.get("site", "")
