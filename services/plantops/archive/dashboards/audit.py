"""The integrity of the audit log, as far as the archive sees it; `plantops audit verify` is the proof."""

from __future__ import annotations

from typing import Final

from plantops.archive.dashboards.model import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Dashboard,
    Override,
    Panel,
    Row,
    Variable,
    number,
)
from plantops.archive.dashboards.trends import EVENT_POINT

_ALARM: Final = ((None, GREEN), (1, RED))


_NUMBERS: Final = (
    number(
        "Records",
        "Records of the audit log in the archive.",
        "SELECT records FROM audit_state",
        ((None, BLUE),),
    ),
    number(
        "Not yet covered",
        "Records above the newest signed checkpoint. They are signed by their writers, but the "
        "notary has not "
        "vouched for their place yet.",
        "SELECT uncovered FROM audit_state",
        ((None, GREEN), (1000, YELLOW), (10000, RED)),
    ),
    Panel(
        "Age of the checkpoint",
        "From the newest signed checkpoint to now. When it grows while records come, the notary "
        "stands still.",
        "stat",
        "SELECT epoch(now()) - epoch(last_checkpoint_at) AS age FROM audit_state",
        width=4,
        height=4,
        unit="s",
        decimals=0,
        colors=((None, GREEN), (300, YELLOW), (3600, RED)),
        empty="no checkpoint",
    ),
    number(
        "Findings",
        "Bad records below the newest checkpoint: a broken chain, a signature that does not fit.",
        "SELECT findings FROM audit_state",
        _ALARM,
    ),
    number(
        "Unreadable records",
        "Records whose bytes are no signed record at all. They keep their place in the tree.",
        "SELECT unreadable FROM audit_state",
        _ALARM,
    ),
    number(
        "Records missing here",
        "Positions below the newest one that the archive does not hold.",
        """
        SELECT coalesce((SELECT max(position) + 1 FROM audit), 0) - total AS records
        FROM served_window WHERE table_name = 'audit'
        """,
        _ALARM,
    ),
)

_OVER_TIME: Final = (
    Panel(
        "Does the notary sign?",
        "Why nothing more is signed. It refuses only when the log lost records, shrank or forked: "
        "call a person.",
        "table",
        """
        SELECT CASE WHEN refusal = '' THEN 'signing' ELSE refusal END AS notary, covered, records,
               last_checkpoint_at
        FROM audit_state
        """,
        width=24,
        height=4,
        overrides=(Override("notary", words=(("signing", GREEN),)),),
    ),
    Panel(
        "Records per writer",
        "Records at the writer's own clock.",
        "timeseries",
        f"""
        SELECT {EVENT_POINT.format("recorded_at")}, writer, CAST(count(*) AS DOUBLE) AS records
        FROM audit WHERE writer IN ($writer) AND $__timeFilter(recorded_at)
        GROUP BY time, writer ORDER BY time, writer
        """,  # noqa: S608 - pieces of ours
        draw="bars",
        is_stacked=True,
        least=0,
    ),
    Panel(
        "Records that a checkpoint covers",
        "The size of each signed checkpoint: it only ever grows. Findings are bad records below it.",
        "timeseries",
        """
        SELECT stored_at AS time, CAST(size AS DOUBLE) AS covered, CAST(findings AS DOUBLE) AS findings
        FROM checkpoint WHERE refusal = '' AND $__timeFilter(stored_at) ORDER BY time
        """,
        least=0,
    ),
)

_LISTS: Final = (
    Panel(
        "Writers",
        "Who writes records: how many this snapshot holds, their numbers in the writer's own chain, "
        "and the newest. "
        "A writer that falls silent shows by its newest record.",
        "table",
        """
        SELECT writer, count(*) AS records, min(number) AS first, max(number) AS last,
               max(number) - min(number) + 1 - count(*) AS missing, max(recorded_at) AS newest
        FROM audit WHERE writer IN ($writer) AND number > 0 GROUP BY writer ORDER BY writer
        """,
        overrides=(Override("missing", colors=_ALARM),),
    ),
    Panel(
        "Checkpoints and refusals",
        "What the notary signed, and where it refused to.",
        "table",
        """
        SELECT stored_at AS time, size, findings,
               CASE WHEN refusal = '' THEN 'signed' ELSE 'refused' END AS act, refusal, root
        FROM checkpoint WHERE $__timeFilter(stored_at) ORDER BY sequence DESC LIMIT 500
        """,
        overrides=(
            Override("act", words=(("signed", GREEN), ("refused", RED)), width=90),
            Override("findings", colors=_ALARM),
        ),
    ),
    Panel(
        "Newest records",
        "The records themselves, newest first, by place in the tree.",
        "table",
        """
        SELECT position, recorded_at AS time, writer, number, kind, command, leaf
        FROM audit WHERE writer IN ($writer) ORDER BY position DESC LIMIT 200
        """,
        width=24,
        height=10,
    ),
)

AUDIT: Final = Dashboard(
    uid="plantops-audit",
    title="PlantOps: audit integrity",
    description="Whether the signed log is whole and covered. A dashboard proves nothing: `plantops "
    "audit verify` "
    "does.",
    begin="now-24h",
    refresh="30s",
    variables=(
        Variable(
            "writer", "Writer", "Who wrote the records", "SELECT DISTINCT writer FROM audit ORDER BY writer"
        ),
    ),
    rows=(Row("Now", _NUMBERS), Row("Over time", _OVER_TIME), Row("One by one", _LISTS)),
)
