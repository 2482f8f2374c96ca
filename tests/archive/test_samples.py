"""Frames into rows: nothing is dropped, guessed or rounded, and the order is that of TAGS."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantops.archive.batch import Batch, SampleBlock
from plantops.archive.samples import StoredFrame, block_of, frame_row
from plantops.archive.series import SeriesBook
from plantops.events.base import Scalar, SiteName, SourceName, TagName
from plantops.events.frames import Frame, Sample, decode_frame, encode_frame, pack, resolve
from plantops.events.quality import has_value
from plantops.events.tags import Kind, ScanGroup, SourceDefined, TagDefinition, layout_of

KINDS: tuple[Kind, ...] = ("f8", "i8", "u8", "b1", "s", "f8")
NOW = 1_700_000_000_123_456_789


def definition(*kinds: Kind, source: str = "plc1", unit: str = "") -> SourceDefined:
    return SourceDefined(
        site=SiteName("demo"),
        source=SourceName(source),
        groups=(ScanGroup(name="fast", period_ms=100),),
        tags=tuple(
            TagDefinition(name=TagName(f"{source}.t{number}"), kind=kind, unit=unit)
            for number, kind in enumerate(kinds)
        ),
    )


def frame(
    defined: SourceDefined, samples: list[Sample], *, number: int = 1, historical: bool = False
) -> Frame:
    packed = pack(
        defined, layout_of(defined), samples, epoch=3, sequence=number, observed_at=NOW, historical=historical
    )
    return resolve(decode_frame(encode_frame(packed)), defined)


def stored(one: Frame, sequence: int = 10, *, first: int = 1) -> StoredFrame:
    numbers = np.arange(first, first + len(one.definition.tags), dtype="i4")
    return StoredFrame(sequence, NOW // 1000 + 5, "adapter-plc1", one, numbers)


def block(*frames: StoredFrame) -> SampleBlock:
    found = block_of(frames)
    assert found is not None
    return found


ALL = definition(*KINDS)


def test_every_kind_keeps_its_value_and_a_bad_one_has_none() -> None:
    samples = [
        Sample(0, 1.5, 192),
        Sample(1, -7, 192),
        Sample(2, 2**63, 192),
        Sample(3, True, 192),
        Sample(4, "open", 192),
        Sample(5, None, 24),
        Sample(0, 2.5, 20),  # last known value: bad, but it is one
    ]
    found = block(stored(frame(ALL, samples)))
    by_series: dict[int, list[tuple[float | None, str | None, int]]] = {}
    for number in range(len(found)):
        value = float(found.value[number]) if found.has_value[number] else None
        by_series.setdefault(int(found.series[number]), []).append(
            (value, found.text[number] if found.text else None, int(found.quality[number]))
        )
    assert by_series == {
        1: [(1.5, None, 192), (2.5, None, 20)],
        2: [(-7.0, None, 192)],
        3: [(2.0**63, None, 192)],
        4: [(1.0, None, 192)],
        5: [(None, "open", 192)],
        6: [(None, None, 24)],
    }


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63) + 1])
def test_an_integer_that_no_double_holds_keeps_its_digits(number: int) -> None:
    found = block(stored(frame(ALL, [Sample(1, number, 192)])))
    assert found.text == [str(number)]
    assert found.value[0] == float(number)


def test_a_huge_integer_that_a_double_holds_needs_no_text() -> None:
    found = block(stored(frame(ALL, [Sample(1, 2**60, 192), Sample(1, 2**60 + 1, 192)])))
    assert found.text == [None, str(2**60 + 1)]


def test_no_text_list_is_made_where_no_sample_has_one() -> None:
    assert block(stored(frame(ALL, [Sample(0, 1.0, 192), Sample(1, 5, 192)]))).text is None


def test_a_text_of_bad_quality_is_no_value() -> None:
    assert block(stored(frame(ALL, [Sample(4, None, 0)]))).text == [None]


def test_source_time_is_kept_to_the_microsecond_beside_the_adapters_time() -> None:
    behind = NOW - 2_500_000  # 2.5 ms
    found = block(stored(frame(ALL, [Sample(0, 1.0, 192, behind), Sample(0, 2.0, 192)])))
    assert found.observed_at.tolist() == [NOW // 1000] * 2
    assert (found.observed_at - found.source_lag).tolist() == [behind // 1000, NOW // 1000]


def test_a_nan_that_was_sent_is_a_value_and_no_value_is_none() -> None:
    found = block(stored(frame(ALL, [Sample(0, math.nan, 192), Sample(0, None, 0)])))
    assert found.has_value.tolist() == [True, False]
    assert math.isnan(found.value[0])


def test_frames_of_several_sources_stay_in_the_order_of_the_stream() -> None:
    other = definition("f8", "b1", source="opc1")
    found = block(
        stored(frame(ALL, [Sample(1, 1, 192), Sample(0, 2.0, 192)]), 10),
        stored(frame(other, [Sample(1, False, 192)]), 11, first=100),
        stored(frame(ALL, []), 12),
        stored(frame(ALL, [Sample(0, 3.0, 192)]), 13),
    )
    assert found.sequence.tolist() == [10, 10, 11, 13]
    assert found.place.tolist() == [0, 1, 0, 0]
    assert found.series.tolist() == [2, 1, 101, 1]


def test_frames_without_samples_give_no_block() -> None:
    assert block_of([stored(frame(ALL, []))]) is None


def test_a_frames_row_counts_what_it_carried() -> None:
    one = frame(
        ALL, [Sample(0, 1.0, 192), Sample(0, 1.0, 64), Sample(4, "a", 216)], number=9, historical=True
    )
    assert frame_row(stored(one, 10)) == (
        10, NOW // 1000 + 5, "plc1", 3, 9, NOW // 1000, layout_of(ALL), 3, 2, True, "adapter-plc1",
    )  # fmt: skip


def _sample(tag: int, quality: int, number: int) -> Sample:
    values: tuple[Scalar, ...] = (number / 3, number, abs(number), number > 0, str(number), 0.5)
    return Sample(tag, values[tag] if has_value(quality) else None, quality, NOW - number)


SAMPLES = st.lists(
    st.builds(_sample, st.integers(0, 5), st.integers(0, 255), st.integers(-(2**40), 2**40)), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(SAMPLES)
def test_agrees_with_the_frames_own_samples_one_by_one(samples: list[Sample]) -> None:
    one = frame(ALL, samples)
    found = block_of([stored(one)])
    wanted = list(one.samples())
    assert (0 if found is None else len(found)) == len(wanted)
    for number, (tag, value, quality, time) in enumerate(wanted):
        assert found is not None
        assert ALL.tags[found.series[number] - 1].name == tag
        assert found.quality[number] == quality
        assert found.observed_at[number] - found.source_lag[number] == time // 1000
        text = found.text[number] if found.text else None
        kept = (
            text
            if isinstance(value, str)
            else (float(found.value[number]) if found.has_value[number] else None)
        )
        assert kept == value


def test_numbers_are_given_in_the_order_of_first_use_and_survive_a_restart() -> None:
    first, second = definition("f8", "b1"), definition("f8", source="opc1")
    batch = Batch()
    book = SeriesBook({}, [])
    assert book.numbers(first, layout_of(first), 1, batch).tolist() == [1, 2]
    assert book.numbers(second, layout_of(second), 2, batch).tolist() == [3]
    known = {(row[1], row[2]): row[0] for row in batch.rows["series"]}
    again, later = SeriesBook(known, [(row[0], row[1]) for row in batch.rows["layout"]]), Batch()
    assert again.numbers(second, layout_of(second), 9, later).tolist() == [3]
    assert later.rows == {}


def test_a_new_definition_replaces_what_the_tag_says_and_keeps_its_number() -> None:
    old, new = definition("f8", unit="rpm"), definition("f8", "s", unit="Hz")
    batch, book = Batch(), SeriesBook({}, [])
    book.numbers(old, layout_of(old), 1, batch)
    assert book.numbers(new, layout_of(new), 2, batch).tolist() == [1, 2]
    assert [(row[0], row[4]) for row in batch.rows["series"]] == [(1, "Hz"), (2, "Hz")]
    assert [row[1] for row in batch.rows["layout"]] == [layout_of(old), layout_of(new)]
