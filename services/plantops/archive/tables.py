"""Every table of the archive, as data: live file, Parquet, served snapshot and digests follow it.

Times are UTC, in microseconds. "Sequence" is always the one in the stream that is named. Tables of origin
"log" hold what the streams said; those of origin "derived" are a function of the others and can be made
again from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from plantops.archive.command_tables import (
    APPROVAL,
    DECISION,
    EVIDENCE,
    INTENT,
    POLICY,
    RULING,
    STEP,
    WRITTEN,
)
from plantops.archive.plant_tables import (
    FRAME,
    GAP,
    LAYOUT,
    ROLLUPS,
    SAMPLE,
    SERIES,
    SOURCE_STATE,
)
from plantops.archive.record_tables import (
    ABOUT,
    AUDIT,
    CHECKPOINT,
    EVENT,
    FINDING,
    HOLE,
    PARQUET_FILE,
    POSITION,
    UNREAD,
)
from plantops.archive.table import Table

TABLES: Final[Mapping[str, Table]] = {
    table.name: table
    for table in (
        LAYOUT,
        SERIES,
        FRAME,
        SAMPLE,
        *ROLLUPS,
        EVENT,
        UNREAD,
        HOLE,
        GAP,
        SOURCE_STATE,
        INTENT,
        STEP,
        DECISION,
        RULING,
        EVIDENCE,
        WRITTEN,
        APPROVAL,
        POLICY,
        FINDING,
        AUDIT,
        CHECKPOINT,
        PARQUET_FILE,
        POSITION,
        ABOUT,
    )
}
