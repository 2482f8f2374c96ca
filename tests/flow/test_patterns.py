"""What a subject pattern covers and overlaps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.flow.patterns import covers, overlaps

SUBJECTS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4)
PATTERNS = st.tuples(st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3), st.booleans()).map(
    lambda parts: ".".join([*parts[0], ">"] if parts[1] else parts[0])
)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("a.*", "a.b", True),
        ("a.*", "a.*", True),
        ("a.>", "a.*.c", True),
        ("a.>", "a", False),
        ("a.*", "a.>", False),
        ("a.*", "a.b.c", False),
        ("a.b", "a.*", False),
        (">", "a.>", True),
        ("a.>", ">", False),
    ],
)
def test_covers(wide: str, narrow: str, expected: bool) -> None:
    assert covers(wide, narrow) is expected


@given(PATTERNS, PATTERNS, SUBJECTS)
def test_a_subject_of_the_narrow_one_is_one_of_the_wide_and_a_shared_one_means_overlap(
    one: str, other: str, tokens: list[str]
) -> None:
    subject = ".".join(tokens)
    if covers(one, other) and covers(other, subject):
        assert covers(one, subject)
    if covers(one, subject) and covers(other, subject):
        assert overlaps(one, other)
        assert overlaps(other, one)


def test_what_has_no_subject_in_common_does_not_overlap() -> None:
    assert not overlaps("a.*", "b.*")
    assert not overlaps("a.*", "a.b.c")
    assert not overlaps("a.>", "a")
