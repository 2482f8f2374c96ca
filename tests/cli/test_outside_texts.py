"""Who approves sees what he signs, whatever somebody wrote into it."""

from __future__ import annotations

import pytest
from rich.text import Text

from plantops.cli.failing import one_line
from plantops.cli.output import exact, plain_cell, safe

TRICKS = (
    "\x1b[2J\x1b[1;1Hnothing waits",
    "\x9b2J",
    "a\rb",
    "\u202e0021 MPR",
    "a\u200bb",
    "[conceal]RPM=9000[/]",
    "[/nothing-to-close]",
)


@pytest.mark.parametrize("trick", TRICKS)
def test_a_text_from_outside_moves_no_cursor_and_hides_nothing(trick: str) -> None:
    for told in (safe(trick), exact(trick)):
        shown = plain_cell(told)
        assert shown.isprintable()
        assert not Text.from_markup(told).spans
        assert all(word in shown for word in ("RPM=9000", "nothing waits") if word in trick)
    assert one_line(trick).isprintable()


def test_a_text_among_arguments_is_no_second_argument() -> None:
    assert plain_cell(exact("on, RPM=9000")) == "'on, RPM=9000'"


@pytest.mark.parametrize(
    ("value", "told"),
    [(1200.0, "1200"), (1234567.8, "1234567.8"), (0.1 + 0.2, "0.30000000000000004"), (7, "7"), (True, "on")],
)
def test_a_number_that_is_confirmed_is_told_whole(value: float, told: str) -> None:
    assert exact(value) == told
