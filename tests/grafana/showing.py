"""Every query of the dashboards as a viewer would send it, on the made-up plant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from plantops.archive.panels import PanelQuery, Shown, expand, panel_queries, variable_queries
from support.served_story import NOW

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "services" / "grafana" / "dashboards"
VARIABLES = {
    "source": ["line1", "tank's"],
    "tag": ["speed", "level", "dead"],
    "asset": ["pump-001"],
    "command": ["cmd-approved"],
    "writer": ["gate", "adapter"],
}


def shown(
    span: timedelta = timedelta(minutes=30),
    interval: timedelta = timedelta(seconds=2),
    *,
    is_quoted: bool = True,
) -> Shown:
    """The made-up plant's last half hour, with everything chosen."""
    return Shown(NOW - span, NOW + timedelta(seconds=1), interval, VARIABLES, is_quoted)


def all_queries() -> list[PanelQuery]:
    """Panels, then variables."""
    return [*panel_queries(FOLDER), *variable_queries(FOLDER)]


def expanded(what: Shown) -> Mapping[str, str]:
    """Each query by a name that says where it stands."""
    return {f"{one.dashboard} / {one.panel}": expand(one.sql, what) for one in all_queries()}
