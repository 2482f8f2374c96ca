"""The command journal: what was asked, judged, approved and written; one command with its evidence."""

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
)
from plantops.archive.dashboards.quality import QUALITY
from plantops.archive.dashboards.trends import EVENT_POINT

_ASKED: Final = "FROM commands WHERE asset IN ($asset) AND $__timeFilter(requested_at)"
_DENIED: Final = """
    FROM ruling JOIN decision USING (sequence, command)
    WHERE NOT decision.allowed AND ruling.verdict <> 'true'
    AND decision.asset IN ($asset) AND $__timeFilter(ruling.stored_at)
"""
_STATE: Final = Override(
    "state",
    words=(
        ("executed", GREEN),
        ("simulated", GREEN),
        ("denied", YELLOW),
        ("expired", YELLOW),
        ("cancelled", YELLOW),
        ("failed", RED),
        ("outcome_unknown", RED),
        ("requested", BLUE),
        ("permitted", BLUE),
        ("claimed", BLUE),
        ("approval_requested", BLUE),
    ),
    width=150,
)
_HANDLE: Final = Override(
    "command",
    link=(
        "Show this command",
        "/d/plantops-commands?${__url_time_range}&${asset:queryparam}&var-command=${__value.raw}",
    ),
)
_VERDICT: Final = Override("verdict", words=(("true", GREEN), ("false", RED), ("unknown", YELLOW)), width=90)


def _number(title: str, description: str, state: str, color: str) -> Panel:
    where = f"AND {state}" if state else ""
    return Panel(
        title,
        description,
        "stat",
        f"SELECT count(*) AS commands {_ASKED} {where}",
        width=4,
        height=4,
        colors=((None, GREEN if color != BLUE else BLUE), (1, color)),
    )


_NUMBERS: Final = (
    _number("Asked", "Commands that were asked for in this range.", "", BLUE),
    _number(
        "Executed", "Commands that were written to a device and ended well.", "state = 'executed'", GREEN
    ),
    _number("Denied", "Commands that a rule refused.", "state = 'denied'", YELLOW),
    _number("Failed", "Commands that the device or its adapter refused.", "state = 'failed'", RED),
    _number(
        "Outcome unknown",
        "Commands of which nobody knows whether they were written. A person must look at the device.",
        "state = 'outcome_unknown'",
        RED,
    ),
    _number(
        "Open", "Commands that are not at their end; most of them wait for approval.", "NOT is_final", YELLOW
    ),
)

_JOURNAL: Final = (
    Panel(
        "Commands",
        "The journal, newest first. Click a command for its rulings and evidence below.",
        "table",
        f"""
        SELECT requested_at AS time, handle, command, asset, operation, arguments, actor, person, mode, risk,
               state, reason, written, approvals, approved_by, duration_ms AS duration,
               window_ms AS "window", why
        {_ASKED} ORDER BY requested_at DESC LIMIT 500
        """,
        width=24,
        height=11,
        overrides=(_STATE, _HANDLE, Override("duration", unit="ms"), Override("window", unit="ms")),
    ),
    Panel(
        "Commands by how they ended",
        "Commands at the time when they were asked for, by their state now.",
        "timeseries",
        f"""
        SELECT {EVENT_POINT.format("requested_at")}, state, CAST(count(*) AS DOUBLE) AS commands
        {_ASKED} GROUP BY time, state ORDER BY time, state
        """,
        draw="bars",
        is_stacked=True,
        least=0,
    ),
    Panel(
        "From asking to the end, and the window",
        "Duration: from the request to the final step, waiting for persons included. Window: from "
        "the last judged "
        "reading of the inputs to the first write, in which the plant may change unseen.",
        "timeseries",
        f"""
        SELECT requested_at AS time, duration_ms AS duration, window_ms AS "window"
        {_ASKED} AND state = 'executed' ORDER BY time
        """,
        unit="ms",
        draw="points",
        least=0,
    ),
)

_DENIALS: Final = (
    Panel(
        "Denials by rule",
        "Rules that said no, or could not tell, in judgements that refused a command.",
        "bargauge",
        f"""
        SELECT ruling.rule, count(*) AS rulings {_DENIED}
        GROUP BY ruling.rule ORDER BY rulings DESC LIMIT 20
        """,
        width=8,
        colors=((None, YELLOW),),
        empty="no denials in this range",
    ),
    Panel(
        "Denials, one by one",
        "What each refusing rule said. Unknown counts as no: a missing or stale input never lets a "
        "command pass.",
        "table",
        f"""
        SELECT ruling.stored_at AS time, command, decision.asset, decision.operation, decision.person,
               ruling.rule, ruling.verdict, ruling.text
        {_DENIED} ORDER BY ruling.stored_at DESC LIMIT 500
        """,
        width=16,
        overrides=(_VERDICT, _HANDLE),
        empty="no denials in this range",
    ),
    Panel(
        "Approvals and rejections",
        "What persons signed. Whether it counted is the step beside it: an approval that came late, "
        "from the asker "
        "or from nobody known is refused.",
        "table",
        """
        SELECT approval.stored_at AS time, approval.command, approval.person, approval.login,
               approval.verdict, approval.reason, coalesce(counted.type, 'no answer yet') AS answer,
               counted.reason AS answer_reason, approval.expires_at
        FROM approval JOIN intent USING (command) LEFT JOIN (
            SELECT causation, replace(type, 'command.', '') AS type, reason FROM step
            WHERE type IN ('command.approval_accepted', 'command.approval_refused')
        ) AS counted ON counted.causation = approval.id
        WHERE intent.asset IN ($asset) AND $__timeFilter(approval.stored_at)
        ORDER BY approval.stored_at DESC LIMIT 500
        """,
        width=24,
        height=7,
        overrides=(
            _HANDLE,
            Override("verdict", words=(("approve", GREEN), ("reject", RED))),
            Override("answer", words=(("approval_accepted", GREEN), ("approval_refused", RED))),
        ),
        empty="nobody was asked in this range",
    ),
)

_ONE: Final = (
    Panel(
        "Its steps",
        "Everything that happened to the chosen command, in order.",
        "table",
        """
        SELECT stored_at AS time, replace(type, 'command.', '') AS state, writer, person, reason,
               window_ms AS "window"
        FROM step WHERE command IN ($command) ORDER BY sequence
        """,
        overrides=(_STATE, Override("window", unit="ms")),
        empty="choose a command at the top",
    ),
    Panel(
        "Its rulings",
        "Each rule of each judgement of the chosen command, in the order of application.",
        "table",
        """
        SELECT ruling.stored_at AS time, decision.stage, CAST(ruling.number AS INTEGER) AS number,
               ruling.rule, ruling.verdict, ruling.text, decision.allowed
        FROM ruling JOIN decision USING (sequence, command)
        WHERE command IN ($command) ORDER BY ruling.sequence, ruling.number
        """,
        overrides=(_VERDICT,),
        empty="choose a command at the top",
    ),
    Panel(
        "Its evidence",
        "Each tag value that a judgement used, its quality and age then, and the frame in TAGS it "
        "came from; frame 0 "
        "was read from the device for that judgement.",
        "table",
        f"""
        SELECT stored_at AS time, tag, coalesce(text, format('{{:g}}', value)) AS value, {QUALITY},
               age_seconds AS age, source_time, frame, note
        FROM evidence WHERE command IN ($command) ORDER BY sequence, number
        """,  # noqa: S608 - pieces of ours
        overrides=(Override("age", unit="s"),),
        empty="choose a command at the top",
    ),
    Panel(
        "Its writes",
        "What was tried at the device, what stood there before, and what was read back.",
        "table",
        """
        SELECT stored_at AS time, tag, coalesce(text, format('{:g}', value)) AS value,
               coalesce(before_text, format('{:g}', before_value)) AS before,
               coalesce(read_back_text, format('{:g}', read_back_value)) AS read_back, verified, problem,
               written_at
        FROM written WHERE command IN ($command) ORDER BY sequence, number
        """,
        empty="nothing was written for it",
    ),
    Panel(
        "Its causes",
        "What led to the end of the chosen command, one step back per line, down to the question. Only of a "
        "command that is at its end.",
        "table",
        """
        SELECT depth, stored_at AS time, type, who, says, how, about, stream, sequence
        FROM causes WHERE command IN ($command) ORDER BY ending DESC, depth, stored_at DESC LIMIT 200
        """,
        width=24,
        empty="choose a command at the top",
    ),
)

COMMANDS: Final = Dashboard(
    uid="plantops-commands",
    title="PlantOps: command journal",
    description="What was asked for, by whom, how it was judged, who approved, and what was written.",
    begin="now-24h",
    refresh="10s",
    variables=(
        Variable(
            "asset", "Asset", "Assets that are shown", "SELECT DISTINCT asset FROM intent ORDER BY asset"
        ),
        Variable(
            "command",
            "Command",
            "The command that is shown in full",
            """
            SELECT command AS __value, handle || ': ' || asset || ' ' || operation AS __text FROM intent
            WHERE asset IN ($asset) ORDER BY sequence DESC LIMIT 200
            """,
            is_multiple=False,
            has_all=False,
        ),
    ),
    rows=(
        Row("In this range", (*_NUMBERS, *_JOURNAL)),
        Row("Denials and approvals", _DENIALS),
        Row("One command: $command", _ONE),
    ),
)
