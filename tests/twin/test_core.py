"""The twin knows what the frames said: the newest live word of each tag, and nothing that was not said."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.processors import check_processor
from plantops.events.base import Scalar
from plantops.events.frames import FrameMalformed, pack, resolve
from plantops.events.quality import has_value
from plantops.events.sources import GapRecorded, SourceLost, SourceUp
from plantops.events.tags import Column, TagFrame, layout_of
from support.twin_samples import DEFINITION, PLC, START, TAGS, Shadow, frame, lease, source, tag

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "f8": st.floats(),
    "i8": st.integers(-(2**63), 2**63 - 1),
    "u8": st.integers(0, 2**64 - 1),
    "b1": st.booleans(),
    "s": st.text(max_size=8),
}


@st.composite
def samples(draw: st.DrawFn) -> tuple[int, Scalar | None, int]:
    position = draw(st.integers(0, len(TAGS) - 1))
    quality = draw(st.sampled_from((192, 192, 216, 64, 0, 20, 24)))
    value = draw(VALUES[TAGS[position].kind]) if has_value(quality) else None
    return position, value, quality


@st.composite
def frames(draw: st.DrawFn) -> list[tuple[int, int, bool, list[tuple[int, Scalar | None, int]]]]:
    """Epochs and sequences that jump, fall back and repeat."""
    return [
        (
            draw(st.integers(1, 3)),
            draw(st.integers(1, 12)),
            draw(st.booleans()) and draw(st.booleans()),
            draw(st.lists(samples(), max_size=10)),
        )
        for _number in range(draw(st.integers(0, 12)))
    ]


def same(left: Scalar | None, right: Scalar | None) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return type(left) is type(right) and left == right


@given(frames())
@settings(max_examples=150, deadline=None)
def test_the_fold_equals_a_dictionary(told: list[Any]) -> None:
    shadow = Shadow()
    known: dict[int, tuple[Scalar | None, int, int]] = {}
    epoch = sequence = 0
    for place, (its_epoch, its_sequence, historical, given_) in enumerate(told, 1):
        shadow.see(frame(its_sequence, *given_, epoch=its_epoch, historical=historical))
        if historical or (its_epoch, its_sequence) <= (epoch, sequence):
            continue
        epoch, sequence = its_epoch, its_sequence
        for kind in ("f8", "i8", "u8", "b1", "s"):
            known |= {p: (v, q, place) for p, v, q in given_ if TAGS[p].kind == kind}
    if not told:
        return
    columns = shadow.state.feeds[PLC].columns
    for position in range(len(TAGS)):
        value, quality, place = known.get(position, (None, 32, 0))
        assert same(columns.value(position), value)
        assert int(columns.quality[position]) == quality
        assert int(columns.sequence[position]) == place


@given(frames(), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_a_snapshot_anywhere_changes_nothing(told: list[Any], at: int) -> None:
    live, restarted = Shadow(), Shadow()
    for number, (epoch, sequence, historical, given_) in enumerate(told):
        for shadow in (live, restarted):
            shadow.see(frame(sequence, *given_, epoch=epoch, historical=historical))
        if number == at:
            restarted.state = restarted.twin.load(restarted.twin.dump(restarted.state))
    assert restarted.twin.dump(restarted.state) == live.twin.dump(live.state)


def test_keeps_the_promises_of_a_processor() -> None:
    shadow = Shadow()
    for number in range(1, 40):
        shadow.wait(0.1)
        shadow.see(frame(number + number // 7, (number % 7, 1.0 if number % 7 in (0, 5, 6) else None, 20)))
        if number % 5 == 0:
            shadow.say(
                SourceLost(source=PLC, epoch=1, cause="x") if number % 2 else SourceUp(source=PLC, epoch=1)
            )
    check_processor(shadow.twin, shadow.history)


def test_a_former_owner_that_wakes_up_is_not_heard() -> None:
    shadow = Shadow()
    shadow.see(frame(1, (0, 1.0)), frame(1, (0, 2.0), epoch=2), frame(2, (0, 3.0), epoch=1))
    feed = shadow.state.feeds[PLC]
    assert (feed.columns.value(0), feed.epoch, feed.refused) == (2.0, 2, 1)
    assert shadow.state.revision == 2


def test_a_frame_that_comes_again_or_late_is_not_heard() -> None:
    shadow = Shadow()
    shadow.see(frame(2, (0, 2.0)), frame(2, (0, 9.0)), frame(1, (0, 1.0)))
    assert shadow.state.feeds[PLC].columns.value(0) == 2.0
    assert shadow.state.feeds[PLC].refused == 2


def test_historical_samples_never_become_current_nor_confirm() -> None:
    shadow = Shadow()
    shadow.see(frame(1, (0, 1.0)))
    shadow.wait(60)
    shadow.see(frame(9, (0, 5.0), historical=True), frame(1, (0, 6.0), epoch=7, historical=True))
    columns = shadow.state.feeds[PLC].columns
    assert (columns.value(0), columns.seen_at(0)) == (1.0, START)
    shadow.see(frame(2, (0, 2.0)))
    assert columns.value(0) == 2.0


def test_counts_holes_until_backfill_closes_them() -> None:
    shadow = Shadow()
    shadow.see(frame(1), frame(5))
    feed = shadow.state.feeds[PLC]
    assert feed.holes == 3
    shadow.see(frame(2, historical=True), frame(3, historical=True))
    assert feed.holes == 1
    shadow.see(frame(3, epoch=2))
    assert feed.holes == 3  # an epoch begins with 1
    shadow.see(frame(2, historical=True, epoch=1))
    assert feed.holes == 3


def test_what_the_stream_forgot_before_the_first_frame_is_no_hole() -> None:
    shadow = Shadow()
    shadow.see(frame(90_000))
    assert shadow.state.feeds[PLC].holes == 0


def test_a_new_layout_keeps_what_is_known_of_matching_tags() -> None:
    shadow = Shadow()
    shadow.see(frame(1, (0, 1.5), (4, "text"), (5, 2.5), (1, -7)))
    moved = source(tag("b.f8", "f8"), tag("a.s", "s"), tag("a.i8", "f8"), tag("new", "b1"), tag("a.f8", "f8"))
    shadow.wait(1)
    shadow.see(frame(2, (4, 9.5), definition=moved))
    columns = shadow.state.feeds[PLC].columns
    assert [columns.value(place) for place in range(5)] == [2.5, "text", None, None, 9.5]
    assert [int(each) for each in columns.sequence] == [1, 1, 0, 0, 2]
    assert int(columns.stored_at[0]) == START


def test_source_events_of_a_former_owner_change_nothing() -> None:
    shadow = Shadow()
    shadow.say(lease(3))
    shadow.say(SourceUp(source=PLC, epoch=3))
    shadow.say(SourceLost(source=PLC, epoch=2, cause="late"))
    standing = shadow.state.standings[PLC]
    assert (standing.epoch, standing.is_up, standing.cause) == (3, True, "")
    shadow.say(GapRecorded(source=PLC, epoch=3, first=2, last=4, frames=3, samples=30, cause="outbox_full"))
    assert (standing.gaps, standing.lost_samples) == (1, 30)


@pytest.mark.parametrize("number", [2**63, 2**64, 2**80, -1])
def test_impossible_numbers_neither_break_the_fold_nor_its_snapshot(number: int) -> None:
    shadow = Shadow()
    before = shadow.twin.dump(shadow.state)
    shadow.say(SourceUp(source=PLC, epoch=number))
    assert shadow.twin.dump(shadow.state) == before
    for _time in range(3):
        shadow.say(
            GapRecorded(source=PLC, epoch=1, first=0, last=0, frames=0, samples=number, cause="restart")
        )
    shadow.twin.load(shadow.twin.dump(shadow.state))
    for changed in ({"epoch": number}, {"sequence": number}, {"observed_at": number}):
        fields: dict[str, Any] = {"epoch": 1, "sequence": 1, "observed_at": START, **changed}
        with pytest.raises(FrameMalformed):
            resolve(pack(DEFINITION, layout_of(DEFINITION), [], **fields), DEFINITION)


def test_a_source_time_outside_the_calendar_is_malformed() -> None:
    for offset in (2**64, -(2**64)):
        column = Column("f8", b"\0\0\0\0", b"\0" * 8, 192, offset)
        packed = TagFrame(
            source=PLC, epoch=1, sequence=1, observed_at=START, layout=layout_of(DEFINITION), columns=[column]
        )
        with pytest.raises(FrameMalformed):
            resolve(packed, DEFINITION)


def test_a_definition_with_groups_that_it_lacks_is_malformed() -> None:
    broken = source(tag("a", "f8", 7))
    with pytest.raises(FrameMalformed):
        frame(1, definition=broken)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x93\x80\x80\x00", b"not a snapshot"])
def test_bytes_that_are_no_snapshot_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the contract names no more
        Shadow().twin.load(data)


def test_a_snapshot_that_lacks_a_column_is_refused() -> None:
    shadow = Shadow()
    shadow.see(frame(1, (0, 1.0)))
    broken = msgspec.msgpack.decode(shadow.twin.dump(shadow.state))
    del broken["feeds"]["plc1"]["columns"]["rest"]["quality"]
    with pytest.raises(ValueError, match="other columns"):
        shadow.twin.load(msgspec.msgpack.encode(broken))
