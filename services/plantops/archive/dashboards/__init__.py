"""Grafana's dashboards, written from code by `python -m plantops.archive.dashboards FOLDER`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from plantops.archive.dashboards.audit import AUDIT
from plantops.archive.dashboards.commands import COMMANDS
from plantops.archive.dashboards.model import Dashboard
from plantops.archive.dashboards.overview import OVERVIEW
from plantops.archive.dashboards.sources import SOURCES

DASHBOARDS: Final[Mapping[str, Dashboard]] = {
    f"{one.uid}.json": one for one in (OVERVIEW, SOURCES, COMMANDS, AUDIT)
}
"""File name and dashboard."""
