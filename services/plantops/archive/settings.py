"""Everything that the archive can be told: the table `[archive]` of the site file."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from plantops.runtime.parts import Part

_Days = Annotated[int, Meta(ge=0)]
_Seconds = Annotated[float, Meta(gt=0)]
_Count = Annotated[int, Meta(gt=0)]


class RetentionDays(Part, frozen=True):
    """For how many days the live file keeps the rows of a table; 0: for ever.

    Log rows go only when an audited Parquet file holds them, however old they are. Tables without a time
    (definitions, policy, audit, checkpoints) are kept whole and cannot be named here.
    """

    sample: _Days = 30
    frame: _Days = 90
    rollup_1s: _Days = 90
    rollup_1m: _Days = 730
    rollup_1h: _Days = 0
    event: _Days = 730
    unread: _Days = 730
    hole: _Days = 730
    gap: _Days = 730
    source_state: _Days = 730
    intent: _Days = 730
    step: _Days = 730
    decision: _Days = 730
    ruling: _Days = 730
    evidence: _Days = 730
    written: _Days = 730
    approval: _Days = 730
    finding: _Days = 730


class WindowSettings(Part, frozen=True):
    """What the served snapshot holds: the newest of each table, and never more rows than its budget.

    The defaults keep the writing of a snapshot below a second.
    """

    sample_minutes: _Seconds = 15.0
    sample_rows: _Count = 300_000
    rollup_1s_hours: _Seconds = 2.0
    rollup_1s_rows: _Count = 200_000
    rollup_1m_days: _Seconds = 2.0
    rollup_1m_rows: _Count = 300_000
    rollup_1h_days: _Seconds = 400.0
    rollup_1h_rows: _Count = 300_000
    event_rows: _Count = 10_000
    audit_rows: _Count = 10_000
    journal_rows: _Count = 20_000


class ParquetSettings(Part, frozen=True):
    """When an hour counts as closed, and how often it is looked.

    An hour is closed when the newest broker time of its stream is `grace_seconds` past its end, or that of
    any other stream `quiet_seconds` more: a stream in which nothing happens has no newer time.
    """

    enabled: bool = True
    every_seconds: _Seconds = 600.0
    grace_seconds: Annotated[float, Meta(ge=0)] = 600.0
    quiet_seconds: Annotated[float, Meta(ge=0)] = 86_400.0


class ArchiveSettings(Part, frozen=True):
    """The archive: how often it commits and serves, what it keeps, and how much memory it takes.

    `commit_seconds` is how long rows wait for company at most: less where many come, and a served snapshot
    holds all that has come before it. `serve_seconds` is the time between served snapshots.
    `memory_megabytes` is what DuckDB may use; the process takes some hundred more.
    """

    commit_seconds: _Seconds = 2.0
    serve_seconds: _Seconds = 5.0
    memory_megabytes: Annotated[int, Meta(ge=128)] = 1024
    threads: Annotated[int, Meta(ge=1)] = 2
    window: WindowSettings = WindowSettings()
    parquet: ParquetSettings = ParquetSettings()
    retention_days: RetentionDays = RetentionDays()
    retention_seconds: _Seconds = 3600.0
