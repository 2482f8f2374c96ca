"""What is worth sending."""

import math

from hypothesis import given
from hypothesis import strategies as st

from plantops.adapters.host.changes import Changes
from plantops.events.base import SiteName, SourceName, TagName
from plantops.events.frames import Sample
from plantops.events.quality import Quality
from plantops.events.tags import ScanGroup, SourceDefined, TagDefinition

DEFINITION = SourceDefined(
    site=SiteName("demo"),
    source=SourceName("plc1"),
    groups=(ScanGroup(name="fast", period_ms=1000),),
    tags=(
        TagDefinition(name=TagName("plain"), kind="f8"),
        TagDefinition(name=TagName("damped"), kind="f8", deadband=0.5),
    ),
)
GOOD = Quality.GOOD


def changes(heartbeat: float = 60.0) -> Changes:
    return Changes(DEFINITION, heartbeat)


def test_the_first_value_is_always_sent() -> None:
    assert changes().select([Sample(0, 0.0, GOOD)], now=0.0) == [Sample(0, 0.0, GOOD)]


def test_an_equal_value_is_sent_again_only_when_the_heartbeat_is_over() -> None:
    tested = changes(heartbeat=10.0)
    same = Sample(0, 1.0, GOOD)
    assert [bool(tested.select([same], now)) for now in (0.0, 9.9, 10.0, 10.1, 20.0)] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_a_change_within_the_deadband_is_measured_from_what_was_sent_last() -> None:
    tested = changes()
    sent = [value for value in (1.0, 1.4, 1.5, 1.6, 2.0, 2.2) if tested.select([Sample(1, value, GOOD)], 0.0)]
    assert sent == [1.0, 1.6, 2.2]


def test_another_quality_is_sent_though_the_value_is_the_same() -> None:
    tested = changes()
    tested.select([Sample(0, 1.0, GOOD)], 0.0)
    assert tested.select([Sample(0, 1.0, Quality.UNCERTAIN)], 0.0)


def test_not_a_number_is_sent_once_and_its_end_too() -> None:
    tested = changes()
    sent = [bool(tested.select([Sample(1, value, GOOD)], 0.0)) for value in (1.0, math.nan, math.nan, 1.0)]
    assert sent == [True, True, False, True]


def test_infinity_is_a_change_within_any_deadband() -> None:
    tested = changes()
    sent = [bool(tested.select([Sample(1, v, GOOD)], 0.0)) for v in (1.0, math.inf, math.inf, -math.inf)]
    assert sent == [True, True, False, True]


def test_integers_above_two_to_the_53rd_are_told_apart() -> None:
    tested = changes()
    tested.select([Sample(0, 2**53, GOOD)], 0.0)
    assert tested.select([Sample(0, 2**53 + 1, GOOD)], 0.0)


def test_several_samples_of_one_tag_in_one_batch_are_compared_in_their_order() -> None:
    batch = [Sample(0, value, GOOD) for value in (1.0, 2.0, 2.0, 1.0)]
    assert [one.value for one in changes().select(batch, 0.0)] == [1.0, 2.0, 1.0]


def test_after_forgetting_everything_is_sent_anew() -> None:
    tested = changes()
    tested.select([Sample(0, 1.0, GOOD), Sample(1, 2.0, GOOD)], 0.0)
    tested.forget()
    assert tested.is_forgotten
    again = tested.select(tested.with_seen([Sample(0, 3.0, GOOD)]), 1.0)
    assert [(one.index, one.value) for one in again] == [(0, 1.0), (1, 2.0), (0, 3.0)]
    assert not tested.is_forgotten


@given(st.lists(st.floats(allow_nan=True), min_size=1), st.floats(0, 100))
def test_what_is_not_sent_never_differs_more_than_the_deadband(values: list[float], deadband: float) -> None:
    tag = TagDefinition(name=TagName("x"), kind="f8", deadband=deadband)
    tested = Changes(
        SourceDefined(site=DEFINITION.site, source=DEFINITION.source, groups=DEFINITION.groups, tags=(tag,)),
        60.0,
    )
    last = math.nan
    for value in values:
        if tested.select([Sample(0, value, GOOD)], 0.0):
            last = value
        assert last == value or (math.isnan(last) and math.isnan(value)) or abs(last - value) <= deadband
