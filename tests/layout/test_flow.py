"""One direction: every event has a writer, nothing else than the named loops closes a circle."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import pytest

from layout.repository import ROOT
from plantops.deployment.drawing import Edge, answering, declared, drawn_into, edges, stored
from plantops.events import EVENT_TYPES
from plantops.flow.declaration import ProcessSpec
from plantops.flow.patterns import overlaps
from plantops.flow.streams import streams
from plantops.policy.speakers import SPEAKERS

SPECS = declared()
EDGES = edges(SPECS)


@dataclass(frozen=True)
class Loop:
    """Edges that lead back, and why they may; `writer` to `reader` over `stream`."""

    name: str
    back: frozenset[tuple[str, str, str]]


LOOPS = (
    Loop(
        "within one command's life: the gate hears its executor, its timer and, for the audit, itself",
        frozenset(
            {
                ("gate", "INTENTS", "gate"),
                ("gate", "APPROVALS", "gate"),
                ("gate", "COMMANDS", "gate"),
                ("adapter-source", "COMMANDS", "gate"),
                ("timer", "TIMERS", "gate"),
            }
        ),
    ),
    Loop(
        "within one conversation: a host is given the questions that hosts have taken in",
        frozenset({("agent-host", "AGENT", "agent-host")}),
    ),
)

# Event type -> why no process of this repository stores it.
WRITTEN_BY_OTHERS = {"tag.frame.named": "the JSON form, for writers without msgpack; ours write tag.frame"}
# Stream -> why nobody is given its messages in order.
UNREAD = {
    "DEFINITIONS": "looked up by layout when a frame needs one",
    "COSIGNATURES": "looked up by whoever verifies the log",
}
# Stream -> why no process writes to it.
UNWRITTEN = {
    "ALARMS": "kept for diagnostics, which this version does not have",
    "FINDINGS": "kept for diagnostics, which this version does not have",
}


def _acyclic(found: tuple[Edge, ...], loops: tuple[Loop, ...]) -> None:
    """Raises: CycleError naming the processes that form a circle other than the named loops."""
    back = {edge for loop in loops for edge in loop.back}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for edge in found:
        if (edge.writer, edge.stream, edge.reader) not in back:
            sorter.add(edge.reader, edge.writer)
    sorter.prepare()


def _consumed_without_writer(specs: tuple[ProcessSpec, ...]) -> list[str]:
    written = list(stored(specs))
    unwritten = set(UNWRITTEN) | ({"AUDIT"} if any(spec.audits for spec in specs) else set())
    return [
        f"{spec.name} reads {subject} of {reads.stream}"
        for spec in specs
        for reads in spec.reads
        if reads.stream not in unwritten
        for subject in reads.subjects
        if not any(one.stream == reads.stream and overlaps(subject, one.subject) for one in written)
    ]


def test_whatever_is_consumed_has_a_writer() -> None:
    assert _consumed_without_writer(SPECS) == []


def test_a_consumer_without_a_writer_is_noticed() -> None:
    without_timer = tuple(spec for spec in SPECS if spec.name != "timer")
    assert _consumed_without_writer(without_timer) == [
        "gate reads timer.site.gate of TIMERS",
        "archive reads timer.*.* of TIMERS",
        "replayer reads timer.*.* of TIMERS",
    ]


def test_every_event_type_has_a_writer_and_every_writer_a_known_type() -> None:
    written = {event for spec in SPECS for writes in spec.writes for event in writes.events}
    assert written | set(WRITTEN_BY_OTHERS) == {*EVENT_TYPES, "tag.frame"}
    assert written & set(WRITTEN_BY_OTHERS) == set()


def test_every_declared_event_has_a_subject_that_carries_it() -> None:
    declared_events = {(s.name, w.stream, event) for s in SPECS for w in s.writes for event in w.events}
    assert declared_events == {(one.writer, one.stream, one.event) for one in stored(SPECS)}


def test_every_event_type_has_a_speaker() -> None:
    assert set(SPEAKERS) == {*EVENT_TYPES, "tag.frame"}


def test_stages_form_no_circle_but_the_named_loops() -> None:
    _acyclic(EDGES, LOOPS)


def test_a_circle_that_nobody_named_is_noticed() -> None:
    with pytest.raises(CycleError):
        _acyclic(EDGES, ())
    with pytest.raises(CycleError):
        _acyclic((*EDGES, Edge("gate", "COMMANDS", "command.denied", "policy-office")), LOOPS)


def test_every_named_loop_is_still_there() -> None:
    there = {(edge.writer, edge.stream, edge.reader) for edge in EDGES}
    assert {edge for loop in LOOPS for edge in loop.back} - there == set()


def test_processes_use_only_streams_that_exist_and_no_stream_is_forgotten() -> None:
    kept = {stream.name for stream in streams()}
    written = {writes.stream for spec in SPECS for writes in spec.writes}
    written |= {"AUDIT"} if any(spec.audits for spec in SPECS) else set()
    read = {reads.stream for spec in SPECS for reads in spec.reads}
    looked_up = {name for spec in SPECS for name in spec.lookups}
    assert written | read | looked_up <= kept
    assert kept - written == set(UNWRITTEN)
    assert written - read == set(UNREAD)


def test_a_subject_lies_in_the_stream_that_its_writer_names() -> None:
    patterns = {stream.name: stream.subjects for stream in streams()}
    strays = [one for one in stored(SPECS) if not any(overlaps(p, one.subject) for p in patterns[one.stream])]
    assert strays == []


def test_whoever_is_asked_answers() -> None:
    asked = [(spec.name, subject) for spec in SPECS for subject in spec.asks]
    assert [each for each in asked if not answering(SPECS, each[1])] == []


def test_the_drawing_in_the_readme_is_the_declared_flow() -> None:
    text = (ROOT / "README.md").read_text()
    assert drawn_into(text) == text, "draw it again: python -m plantops.deployment.drawing"
