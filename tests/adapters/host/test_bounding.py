"""A device that answers with more than can be stored ends nobody."""

from __future__ import annotations

from datetime import UTC, datetime

from plantops.adapters.host.bounding import bounded_dry_run, bounded_outcome, bounded_reconciled
from plantops.events.base import CommandId, SiteName, TagName, encode_json
from plantops.events.command_parts import ObservedInput, StepResult, Write
from plantops.events.commands import CommandFailed, DryRunDone, OutcomeUnknown
from plantops.events.governance import CommandReconciled
from plantops.flow.streams import streams

SITE, COMMAND = SiteName("demo"), CommandId("c" * 24)
LONG = "x" * 32 * 1024
(LIMIT,) = [stream.max_message_bytes for stream in streams() if stream.name == "COMMANDS"]
STEPS = tuple(
    StepResult(
        write=Write(tag=TagName(f"label{number}"), value="new"),
        before=LONG,
        before_quality=192,
        written_at=datetime(2026, 3, 1, tzinfo=UTC),
        read_back=LONG,
        problem=f"label{number} reads {LONG!r}",
    )
    for number in range(10)
)
UNDO = tuple(Write(tag=step.write.tag, value=LONG) for step in STEPS)
FOUND = tuple(ObservedInput(tag=step.write.tag, value=LONG, quality=192, age_seconds=0.0) for step in STEPS)


def test_an_outcome_with_texts_too_long_is_told_without_them_and_without_a_way_back() -> None:
    for final in (
        CommandFailed(
            site=SITE, command=COMMAND, reason="no", written=True, steps=STEPS, undo=UNDO, compensation=STEPS
        ),
        OutcomeUnknown(site=SITE, command=COMMAND, reason="no", steps=STEPS),
    ):
        assert len(encode_json(final)) > LIMIT
        told = bounded_outcome(final)
        assert len(encode_json(told)) < LIMIT
        assert type(told) is type(final)
        assert [step.write for step in told.steps] == [step.write for step in STEPS]
        assert {step.before for step in told.steps} == {None}
        assert not isinstance(told, CommandFailed) or not told.undo


def test_what_fits_is_told_as_it_is() -> None:
    final = OutcomeUnknown(site=SITE, command=COMMAND, reason="no", steps=STEPS[:1])
    assert bounded_outcome(final) is final


def test_a_dry_run_that_cannot_be_shown_is_a_no() -> None:
    told = bounded_dry_run(DryRunDone(site=SITE, command=COMMAND, ok=True, before=FOUND))
    assert not told.ok
    assert "cannot be told" in told.problem
    assert len(encode_json(told)) < LIMIT


def test_what_a_reconciliation_found_is_told_without_texts_too_long() -> None:
    word = CommandReconciled(site=SITE, command=COMMAND, by=COMMAND, found=FOUND, conclusion="other")
    told = bounded_reconciled(word)
    assert [one.tag for one in told.found] == [one.tag for one in FOUND]
    assert len(encode_json(told)) < LIMIT
