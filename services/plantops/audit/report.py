"""What a person reads about a verification, as plain data: for a table, JSON or text alike."""

from __future__ import annotations

import msgspec

from plantops.audit.verify import OnlineReport
from plantops.ledger.finding import Finding
from plantops.ledger.verify import Report


class Rendered(msgspec.Struct, frozen=True):
    """`verdict` is one sentence; `rows` are (name, value) in the order to be shown."""

    ok: bool
    verdict: str
    rows: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]


def render_online(report: OnlineReport) -> Rendered:
    """What `verify_online` found."""
    rows = (
        ("log", report.origin or "no checkpoint yet"),
        ("records", str(report.size)),
        ("covered by a checkpoint", str(report.covered)),
        ("not yet covered", str(report.uncovered)),
        ("checkpoints compared", str(report.checkpoints)),
        ("seen before", "never" if report.remembered is None else f"{report.remembered} records"),
        ("root", report.root),
    )
    return Rendered(report.ok, _verdict(report.size, report.first_bad), rows, report.findings)


def render_export(report: Report) -> Rendered:
    """What `verify_folder` found."""
    named = [finding for finding in report.findings if finding.index is not None]
    rows = (
        ("records signed", str(report.size)),
        ("records read", str(report.checked)),
        ("signed root", report.root.hex()),
        ("computed root", report.computed_root.hex()),
    )
    first = next(iter(named or report.findings), None)
    return Rendered(report.ok, _verdict(report.checked, first), rows, report.findings)


def _verdict(records: int, first: Finding | None) -> str:
    if first is None:
        return f"All {records} records are as they were signed."
    where = "The log" if first.index is None else f"Record {first.index}"
    by = f" of {first.writer}" if first.writer else ""
    return f"{where}{by} is not as it should be: {first.detail}."
