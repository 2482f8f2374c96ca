"""From samples to frames."""

from plantops.adapters.host.framing import MAX_TEXT_BYTES, Framer, as_history, sample_count
from plantops.events.base import SiteName, SourceName, TagName
from plantops.events.frames import Sample, decode_frame, encode_frame, resolve
from plantops.events.quality import Quality
from plantops.events.tags import (
    MAX_FRAME_BYTES,
    MAX_SAMPLES,
    ScanGroup,
    SourceDefined,
    TagDefinition,
    TagFrame,
)

DEFINITION = SourceDefined(
    site=SiteName("demo"),
    source=SourceName("plc1"),
    groups=(ScanGroup(name="fast", period_ms=100), ScanGroup(name="slow", period_ms=1000)),
    tags=(
        TagDefinition(name=TagName("real"), kind="f8"),
        TagDefinition(name=TagName("count"), kind="i8"),
        TagDefinition(name=TagName("text"), kind="s"),
        TagDefinition(name=TagName("flag"), kind="b1"),
    ),
)
GOOD = Quality.GOOD


def framer() -> Framer:
    return Framer(DEFINITION, epoch=3)


def seen(frames: list[TagFrame]) -> list[tuple[str, object, int]]:
    found: list[tuple[str, object, int]] = []
    for frame in frames:
        resolved = resolve(decode_frame(encode_frame(frame)), DEFINITION)
        found += [(name, value, quality) for name, value, quality, _time in resolved.samples()]
    return found


def test_sequences_rise_by_one_over_all_frames_of_an_epoch() -> None:
    tested = framer()
    first = tested.frames([Sample(0, float(n), GOOD) for n in range(2500)], 0)
    second = tested.frames([], 0, [1])
    assert [(frame.epoch, frame.sequence) for frame in first + second] == [(3, 1), (3, 2), (3, 3), (3, 4)]
    assert [sample_count(frame) for frame in first] == [MAX_SAMPLES, MAX_SAMPLES, 500]


def test_only_the_last_frame_confirms_since_only_then_all_is_said() -> None:
    frames = framer().frames([Sample(0, float(n), GOOD) for n in range(1001)], 0, {1, 0})
    assert [frame.confirms for frame in frames] == [b"", b"\x00\x01"]


def test_nothing_to_say_is_no_frame() -> None:
    assert framer().frames([], 0) == []


def test_long_texts_are_split_below_the_size_limit_and_none_is_lost() -> None:
    text = "ä" * (MAX_TEXT_BYTES // 2)
    frames = framer().frames([Sample(2, text, GOOD)] * 40, 0)
    assert len(frames) > 4
    assert max(len(encode_frame(frame)) for frame in frames) <= MAX_FRAME_BYTES
    assert seen(frames) == [("text", text, GOOD)] * 40


def test_a_text_that_is_too_long_is_bad_and_harms_no_neighbour() -> None:
    frames = framer().frames([Sample(2, "x" * (MAX_TEXT_BYTES + 1), GOOD), Sample(0, 1.5, GOOD)], 0)
    assert seen(frames) == [("text", None, Quality.BAD_CONFIGURATION), ("real", 1.5, GOOD)]


def test_a_value_that_its_column_cannot_hold_is_bad_and_harms_no_neighbour() -> None:
    frames = framer().frames([Sample(1, 2**80, GOOD), Sample(1, 7, GOOD), Sample(0, 1.5, GOOD)], 0)
    assert seen(frames) == [
        ("count", None, Quality.BAD_CONFIGURATION),
        ("count", 7, GOOD),
        ("real", 1.5, GOOD),
    ]


def test_history_confirms_nothing_and_keeps_its_number() -> None:
    frame = framer().frames([Sample(0, 1.0, GOOD)], 5, [0])[0]
    late = as_history(frame)
    assert late.historical
    assert (late.confirms, late.sequence, late.observed_at) == (b"", frame.sequence, 5)
