"""The exact words that persons signed, as the gate hands them on. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from plantops.events.base import PrincipalName
from plantops.events.circumstances import Bypass
from plantops.events.command_parts import Approval, Grant
from plantops.gate.state import Course, GateState, View
from plantops.ledger import dsse
from plantops.runtime.errors import TrustError


def grants_of(state: GateState, bypasses: Iterable[Bypass]) -> tuple[Grant, ...]:
    """What stands behind each of these bypasses; none where nobody signed."""
    view = View(state)
    found = []
    for each in bypasses:
        asked = view.asked(each.bypass)
        if asked is None or not asked.evidence:
            continue
        approvals = standing_approvals(view.course(each.bypass), each.since).values()
        found.append(Grant(bypass=each.bypass, intent=asked.evidence, approvals=tuple(approvals)))
    return tuple(found)


def standing_approvals(course: Course, now: datetime) -> dict[PrincipalName, str]:
    """The exact words of those whose approval still counts: each said himself until when, and may say it
    again. Where no words were kept the end of the request is all there is."""
    return {
        person: words
        for person, words in zip(course.approvers, course.approvals, strict=False)
        if not words or now <= _end_of(words)
    }


def _end_of(words: str) -> datetime:
    """When an approval runs out; long ago where it cannot be read."""
    try:
        payload = dsse.decode(words.encode()).body()
        return msgspec.json.decode(payload, type=Approval).expires_at
    except (TrustError, msgspec.DecodeError, UnicodeDecodeError):
        return datetime.min.replace(tzinfo=UTC)
