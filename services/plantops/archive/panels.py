"""The queries of dashboards: found in Grafana's JSON, and expanded as the DuckDB data source does it.

What is expanded, from the behaviour of `motherduck-duckdb-datasource` and of Grafana's SQL data sources:

- `$__timeFilter(column)`: `column >= '<from>' AND column <= '<to>'`, RFC 3339 in UTC.
- `$__timeFrom()`, `$__timeTo()`: that text alone, quoted.
- `$__interval_ms`, `$__interval`: milliseconds, and a text such as 30s. In a browser Grafana puts them in,
  quoted like any value; for alert rules the data source does, without quotes. Queries must bear both.
- `$name`, `${name}`: each chosen value quoted, with commas between them; `'` doubled, `"` and `\\` escaped by
  `\\`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from plantops.runtime.errors import SettingsError

TIME_SERIES: Final = 0
TABLE: Final = 1
_FILTER: Final = re.compile(r"\$__timeFilter\(([^()]*)\)")
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One query as it stands in a dashboard. `panel` is its title, or a variable's name where `kind` says
    "variable"; otherwise `kind` is Grafana's panel type. `format`: TIME_SERIES or TABLE."""

    dashboard: str
    panel: str
    kind: str
    format: int
    sql: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What a viewer has chosen: a range of time, the width of a point, and values of variables."""

    begin: datetime
    end: datetime
    interval: timedelta
    variables: Mapping[str, Sequence[str]]
    is_quoted: bool = True


def panel_queries(folder: Path) -> list[PanelQuery]:
    """Every query of every panel in the folder's dashboards, in the order of files and panels.

    Raises: SettingsError when a file is no dashboard.
    """
    return [
        PanelQuery(title, panel["title"], panel["type"], int(target["format"]), target["rawSql"])
        for title, model in _dashboards(folder)
        for panel in _panels(model)
        for target in panel.get("targets", ())
    ]


def variable_queries(folder: Path) -> list[PanelQuery]:
    """Every query of every variable in the folder's dashboards. Raises: SettingsError."""
    return [
        PanelQuery(title, variable["name"], "variable", TABLE, variable["query"])
        for title, model in _dashboards(folder)
        for variable in model["templating"]["list"]
        if variable["type"] == "query"
    ]


def choose(sql: str, variables: Mapping[str, Sequence[str]]) -> str:
    """The SQL that a browser sends, macros and all. Raises: SettingsError for an unknown variable."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name.startswith("__"):
            return found[0]
        if name not in variables:
            raise SettingsError(f"${name} is neither a macro nor a variable of the dashboard: {sql!r}")
        return ", ".join(map(_quoted, variables[name]))

    return _VARIABLE.sub(value, sql)


def expand(sql: str, shown: Shown) -> str:
    """The SQL that reaches DuckDB. Raises: SettingsError for a name that is neither macro nor variable."""
    begin, end = _instant(shown.begin), _instant(shown.end)
    sql = _FILTER.sub(lambda found: f"{found[1].strip()} >= {begin} AND {found[1].strip()} <= {end}", sql)
    sql = sql.replace("$__timeFrom()", begin).replace("$__timeTo()", end)
    width = str(round(shown.interval.total_seconds() * 1000))
    for name, value in (("$__interval_ms", width), ("$__interval", f"{width}ms")):
        sql = sql.replace(name, _quoted(value) if shown.is_quoted else value)
    left = re.search(r"\$\{?(__\w+)", sql)
    if left:
        raise SettingsError(f"${left[1]} is neither a macro nor a variable of the dashboard: {sql!r}")
    return choose(sql, shown.variables)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''").replace('"', '\\"') + "'"


def _instant(moment: datetime) -> str:
    return f"'{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'"


def _dashboards(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(folder.glob("*.json")):
        try:
            model: dict[str, Any] = json.loads(path.read_text())
            yield str(model["title"]), model
        except (ValueError, KeyError) as error:
            raise SettingsError(f"{path} is no dashboard ({error!r})") from error


def _panels(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in model["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel
