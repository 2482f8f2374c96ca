"""What our dashboards are made of, and how it looks as Grafana's JSON (schema version 42)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any, Final, Literal, TypeAlias

Json: TypeAlias = dict[str, Any]
Kind: TypeAlias = Literal["timeseries", "stat", "table", "bargauge"]

PLUGIN: Final = "motherduck-duckdb-datasource"
# A variable of type data source, so that the same dashboards serve the snapshots of several sites.
SNAPSHOT: Final[Json] = {"type": PLUGIN, "uid": "${snapshot}"}
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
_COLUMNS: Final = 24


@dataclass(frozen=True, slots=True)
class Override:
    """Of one column of a table, or one series, by its name."""

    name: str
    unit: str = ""
    colors: tuple[tuple[float | None, str], ...] = ()
    words: tuple[tuple[str, str], ...] = ()
    width: int = 0
    link: tuple[str, str] | None = None
    """Title and address; `${__value.raw}` stands for the cell."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `colors`: (from value, colour), the first from None; `words`: (text, colour) for cells."""

    title: str
    description: str
    kind: Kind
    sql: str
    width: int = 12
    height: int = 8
    unit: str = ""
    decimals: int | None = None
    least: float | None = None
    most: float | None = None
    colors: tuple[tuple[float | None, str], ...] = ((None, GREEN),)
    words: tuple[tuple[str, str], ...] = ()
    overrides: tuple[Override, ...] = ()
    is_stacked: bool = False
    draw: Literal["line", "bars", "points"] = "line"
    empty: str = "nothing in this range"

    @property
    def is_series(self) -> bool:
        return self.kind == "timeseries"


def number(title: str, description: str, sql: str, colors: tuple[tuple[float | None, str], ...]) -> Panel:
    """One large number, six of them in a line."""
    return Panel(title, description, "stat", sql, width=4, height=4, colors=colors)


@dataclass(frozen=True, slots=True)
class Row:
    """A heading, and the panels below it, laid out from left to right."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top, filled by a query; columns `__text` and `__value` tell label and value apart."""

    name: str
    label: str
    description: str
    sql: str
    is_multiple: bool = True
    has_all: bool = True


@dataclass(frozen=True, slots=True)
class Dashboard:
    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    begin: str = "now-15m"
    refresh: str = "5s"
    tags: Sequence[str] = field(default=("plantops",))

    def text(self) -> str:
        """The file's content, the same for the same dashboard."""
        return json.dumps(self.json(), indent=2, ensure_ascii=False) + "\n"

    def json(self) -> Json:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": list(self.tags),
            "schemaVersion": 42,
            "editable": False,
            "graphTooltip": 1,
            "refresh": self.refresh,
            "time": {"from": self.begin, "to": "now"},
            "timezone": "browser",
            "links": [_others()],
            "annotations": {"list": []},
            "templating": {"list": [_snapshot(), *map(_variable, self.variables)]},
            "panels": _laid_out(self.rows),
        }


def _others() -> Json:
    return {
        "title": "PlantOps",
        "type": "dashboards",
        "tags": ["plantops"],
        "asDropdown": True,
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "the other dashboards",
        "url": "",
    }


def _snapshot() -> Json:
    return {
        "name": "snapshot",
        "type": "datasource",
        "label": "Snapshot",
        "description": "The served file that all panels read",
        "query": PLUGIN,
        "regex": "/^PlantOps/",
        "current": {"text": "PlantOps", "value": "plantops"},
        "options": [],
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
    }


def _variable(variable: Variable) -> Json:
    every = (
        {"text": ["All"], "value": ["$__all"]} if variable.is_multiple else {"text": "All", "value": "$__all"}
    )
    return {
        "name": variable.name,
        "type": "query",
        "label": variable.label,
        "description": variable.description,
        "datasource": SNAPSHOT,
        "query": sql(variable.sql),
        "refresh": 2,
        "sort": 0,
        "multi": variable.is_multiple,
        "includeAll": variable.has_all,
        "current": every if variable.has_all else {"text": "", "value": ""},
        "options": [],
        "hide": 0,
    }


def sql(text: str) -> str:
    """A query without the indentation that it has in the code."""
    return dedent(text).strip()


def _laid_out(rows: Sequence[Row]) -> list[Json]:
    panels: list[Json] = []
    top = 0
    for row in rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": _COLUMNS, "h": 1},
                "panels": [],
            }
        )
        top += 1
        left = height = 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                top, left, height = top + height, 0, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            panels.append(_panel(panel, len(panels) + 1, place))
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return panels


def _panel(panel: Panel, number: int, place: Json) -> Json:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": place,
        "datasource": SNAPSHOT,
        # Buckets shorter than a second do not exist.
        "interval": "1s",
        "targets": [
            {
                "refId": "A",
                "datasource": SNAPSHOT,
                "editorMode": "code",
                "format": 0 if panel.is_series else 1,
                "rawQuery": True,
                "rawSql": sql(panel.sql),
            }
        ],
        "options": _options(panel),
        "fieldConfig": {"defaults": _defaults(panel), "overrides": list(map(_override, panel.overrides))},
    }


def _defaults(panel: Panel) -> Json:
    numbers = {"decimals": panel.decimals, "min": panel.least, "max": panel.most}
    return {
        **({"unit": panel.unit} if panel.unit else {}),
        **{name: value for name, value in numbers.items() if value is not None},
        "noValue": panel.empty,
        "thresholds": _thresholds(panel.colors),
        "color": {"mode": "palette-classic-by-name" if panel.is_series else "thresholds"},
        "mappings": _mappings(panel.words),
        "custom": _custom(panel),
    }


def _custom(panel: Panel) -> Json:
    if panel.kind == "table":
        return {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": True}
    if panel.kind != "timeseries":
        return {}
    return {
        "drawStyle": panel.draw,
        "lineWidth": 1,
        "fillOpacity": 60 if panel.draw == "bars" else 5,
        "pointSize": 6,
        "showPoints": "always" if panel.draw == "points" else "auto",
        # A hole is shown as a hole: a line over it would be a guess.
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if panel.is_stacked else "none"},
        "thresholdsStyle": {"mode": "line" if len(panel.colors) > 1 else "off"},
    }


def _options(panel: Panel) -> Json:
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": panel.kind == "bargauge"}
    if panel.kind == "timeseries":
        legend = {"showLegend": True, "displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull"]}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm", "frameIndex": 0}
    if panel.kind == "stat":
        return {
            "reduceOptions": {**reduce, "fields": "/.*/"},
            "orientation": "auto",
            "colorMode": "background",
            "graphMode": "none",
            "justifyMode": "auto",
            "textMode": "value",
            "wideLayout": True,
            "showPercentChange": False,
            "percentChangeColorMode": "standard",
        }
    return {
        "reduceOptions": reduce,
        "orientation": "horizontal",
        "displayMode": "basic",
        "showUnfilled": True,
        "valueMode": "color",
        "namePlacement": "auto",
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
    }


def _override(override: Override) -> Json:
    properties: list[Json] = []
    if override.unit:
        properties.append({"id": "unit", "value": override.unit})
    if override.colors:
        properties.append({"id": "thresholds", "value": _thresholds(override.colors)})
    if override.words:
        properties.append({"id": "mappings", "value": _mappings(override.words)})
    if override.colors or override.words:
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    if override.width:
        properties.append({"id": "custom.width", "value": override.width})
    if override.link:
        title, url = override.link
        properties.append({"id": "links", "value": [{"title": title, "url": url, "targetBlank": False}]})
    return {"matcher": {"id": "byName", "options": override.name}, "properties": properties}


def _thresholds(colors: Sequence[tuple[float | None, str]]) -> Json:
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in colors]}


def _mappings(words: Sequence[tuple[str, str]]) -> list[Json]:
    if not words:
        return []
    options = {text: {"color": color, "index": index} for index, (text, color) in enumerate(words)}
    return [{"type": "value", "options": options}]
