"""Views for people, the same in the live file, in the served snapshot and in exports.

No view knows the time of day: ages count from the newest stored time of the file, its column `as_of`.
They are plain SQL of DuckDB 1.5 too, since dashboards read the snapshot with that version.
"""

from __future__ import annotations

from typing import Final

import duckdb

from plantops.archive.command_views import CAUSAL_LINKS, CAUSES, COMMANDS, JOURNAL
from plantops.archive.plant_tables import ROLLUP_1H, ROLLUP_1M, ROLLUP_1S
from plantops.archive.plant_views import AUDIT_STATE, SAMPLES, SOURCE_HEALTH, rolled_up

VIEWS: Final[tuple[tuple[str, str], ...]] = (
    ("samples", SAMPLES),
    ("tag_1s", rolled_up(ROLLUP_1S.name)),
    ("tag_1m", rolled_up(ROLLUP_1M.name)),
    ("tag_1h", rolled_up(ROLLUP_1H.name)),
    ("source_health", SOURCE_HEALTH),
    ("audit_state", AUDIT_STATE),
    ("commands", COMMANDS),
    ("journal", JOURNAL),
    ("causal_links", CAUSAL_LINKS),
    ("causes", CAUSES),
)
"""Name and SELECT of each view, in the order in which they build on each other."""

VIEW_TEXTS: Final = {
    "samples": "Every sample with the name of its tag.",
    "tag_1s": "Each tag per second: mean, minimum, maximum, last value and share of good samples.",
    "tag_1m": "The same per minute.",
    "tag_1h": "The same per hour.",
    "source_health": "One row for each source: device, rate, gaps, freshness.",
    "audit_state": "One row: how much of the audit log a signed checkpoint covers.",
    "commands": "One row for each command: who, what, why, how it ended, what was written.",
    "journal": "What was asked, said and done, in words; sources and their samples left out.",
    "causal_links": "What caused each event of the journal, one step back.",
    "causes": "What led to the end of each command, all the way back; depth 0 is the end itself.",
}
"""What each view answers."""


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make every view anew; cheap, since a view holds nothing."""
    for name, select in VIEWS:
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
