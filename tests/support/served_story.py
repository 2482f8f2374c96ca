"""What happened in the made-up plant: commands of every kind, and an audit log with a refusal."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from plantops.archive.batch import Batch, Row
from plantops.archive.tables import TABLES

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
SECOND = 1_000_000
_NEUTRAL: dict[str, Any] = {"VARCHAR": "", "BOOLEAN": False, "BLOB": b""}


def row(table: str, **values: Any) -> Row:
    """A row of the table; a required column that is not told is empty, false or zero."""
    known = TABLES[table]
    assert set(values) <= set(known.names), f"{table} has no {set(values) - set(known.names)}"
    return tuple(
        values.get(one.name, _NEUTRAL.get(one.type, 0) if one.required else None) for one in known.columns
    )


# command, seconds before NOW, steps behind the request
LIVES = (
    ("executed", 600, ("permitted", "claimed", "executed")),
    ("denied", 500, ("denied",)),
    ("refused", 400, ("denied",)),
    ("approved", 300, ("approval_requested", "approval_accepted", "permitted", "claimed", "executed")),
    ("waiting", 100, ("approval_requested",)),
    ("unknown", 50, ("permitted", "claimed", "outcome_unknown")),
)
_FINAL = ("denied", "executed", "outcome_unknown")


_ASKED = {
    "actor": "alice",
    "login": "alice",
    "on_behalf_of": "[]",
    "asset": "pump-001",
    "operation": "SetSpeed",
    "arguments": '{"RPM":1200}',
    "mode": "execute",
    "reason": "made-up",
}
_WRITTEN = {
    "tag": "speed",
    "value": 1200.0,
    "before_value": 900.0,
    "before_quality": 192,
    "read_back_value": 1200.0,
    "verified": True,
}
_APPROVED = {"person": "bob", "login": "bob", "signer": "bob", "verdict": "approve", "id": "APPROVALS.1"}


def commands(batch: Batch) -> None:
    """The lives of some commands, one in each state."""
    sequence = 0
    for number, (name, before, steps) in enumerate(LIVES, 1):
        at = NOW_US - before * SECOND
        own = {"sequence": number, "stored_at": at, "command": f"cmd-{name}"}
        named = {"handle": f"c{number}", "id": f"INTENTS.{number}"}
        batch.add("intent", row("intent", **own, **named, **_ASKED))
        _event(batch, ("INTENTS", number), at, f"cmd-{name}", "intent.received")
        for place, step in enumerate(("requested", *steps), 1):
            sequence += 1
            when = {"sequence": sequence, "stored_at": at + place * 40_000, "command": f"cmd-{name}"}
            _step(batch, when, step, _cause(number, place, sequence, step))
    at = NOW_US - 300 * SECOND + 100_000
    own = {"sequence": 1, "stored_at": at, "command": "cmd-approved", "expires_at": at + 600 * SECOND}
    batch.add("approval", row("approval", **own, **_APPROVED))


def _step(batch: Batch, own: dict[str, Any], step: str, cause: str) -> None:
    sequence, at, command = own["sequence"], own["stored_at"], own["command"]
    is_final = step in _FINAL
    told = {"reason": f"said {step}" if is_final else "", "is_final": is_final}
    told["person"] = "bob" if step == "approval_accepted" else ""
    told["window_ms"] = 3.5 if step == "executed" else None
    ids = {"id": f"COMMANDS.{sequence}", "causation": cause, "type": f"command.{step}", "writer": "gate"}
    batch.add("step", row("step", **own, **told, **ids))
    _event(batch, ("COMMANDS", sequence), at, command, f"command.{step}")
    if step in ("denied", "permitted"):
        _judged(batch, sequence, at, command, step == "permitted")
    if step == "executed":
        batch.add("written", row("written", written_at=at, **own, **_WRITTEN))


def _cause(number: int, place: int, sequence: int, step: str) -> str:
    if step == "approval_accepted":
        return "APPROVALS.1"
    return f"INTENTS.{number}" if place == 1 else f"COMMANDS.{sequence - 1}"


def _event(batch: Batch, place: tuple[str, int], at: int, command: str, kind: str) -> None:
    """Each event of a command tells the one before it as its cause; the first has none."""
    stream, sequence = place
    told = [one for one in batch.rows.get("event", ()) if one[10] == command]
    batch.add(
        "event",
        row(
            "event",
            stream=stream,
            sequence=sequence,
            stored_at=at,
            type=kind,
            version=1,
            id=f"{stream}.{sequence}",
            causation=told[-1][6] if told else "",
            correlation=command,
            command=command,
            body=json.dumps({"type": kind}),
        ),
    )


def _judged(batch: Batch, sequence: int, at: int, command: str, allowed: bool) -> None:
    batch.add(
        "decision",
        row(
            "decision",
            sequence=sequence,
            stored_at=at,
            command=command,
            stage="request",
            judged_at=at,
            allowed=allowed,
            asset="pump-001",
            operation="SetSpeed",
            actor="alice",
            person="alice",
            risk="HIGH",
            policy="p",
            model="m",
        ),
    )
    for number, rule in enumerate(("rights", "limits", "freshness")):
        verdict = "true" if allowed or number == 0 else ("false" if number == 1 else "unknown")
        batch.add(
            "ruling",
            row(
                "ruling",
                sequence=sequence,
                stored_at=at,
                command=command,
                number=number,
                rule=rule,
                verdict=verdict,
                text=f"{rule} says {verdict}",
            ),
        )
    batch.add(
        "evidence",
        row(
            "evidence",
            sequence=sequence,
            stored_at=at,
            command=command,
            number=0,
            tag="speed",
            value=900.0,
            quality=192,
            age_seconds=0.4,
            frame=100,
        ),
    )


def audit(batch: Batch) -> None:
    """Records of two writers, checkpoints over most of them, and a refusal."""
    for position in range(200):
        batch.add(
            "audit",
            row(
                "audit",
                position=position,
                writer=("gate", "adapter")[position % 2],
                number=position // 2 + 1,
                recorded_at=NOW_US - (200 - position) * 4 * SECOND,
                kind="command.denied",
                leaf=f"{position:064x}",
            ),
        )
    for number, (size, refusal) in enumerate(((100, ""), (190, ""), (0, "the log shrank")), 1):
        batch.add(
            "checkpoint",
            row(
                "checkpoint",
                sequence=number,
                size=size,
                findings=number - 1,
                stored_at=NOW_US - (400 - number * 100) * SECOND,
                root="r",
                refusal=refusal,
                note="made-up",
            ),
        )
    batch.add("policy", row("policy", sequence=1, stored_at=NOW_US - 900 * SECOND, revision=1, digest="p"))
    batch.add(
        "finding",
        row(
            "finding",
            sequence=1,
            stored_at=NOW_US - 60 * SECOND,
            analyser="notary",
            type="finding.record",
            body="{}",
        ),
    )
