"""The recorded histories of the gate give the recorded answers, byte by byte."""

from __future__ import annotations

import pytest

from conformance.processors import check_processor
from golden.gate_stories import STORIES, answer, plant_of, read_answers, read_history
from plantops.events import decode, encode
from plantops.flow.replay import replay
from plantops.gate.core import Gate
from support.gate_samples import ROOT, SITE

NAMES = sorted(STORIES)


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_the_recorded_ones(name: str) -> None:
    _state, outputs = replay(Gate(SITE, plant_of(name), ROOT), read_history(name))
    assert [answer(output) for output in outputs] == read_answers(name)


@pytest.mark.parametrize("name", NAMES)
def test_keeps_the_promises_of_a_processor(name: str) -> None:
    check_processor(Gate(SITE, plant_of(name), ROOT), read_history(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_the_same_bytes_after_reading_it(name: str) -> None:
    """Approvals and permits are bound to the digest of a decision: its reader must come to the same one."""
    _state, outputs = replay(Gate(SITE, plant_of(name), ROOT), read_history(name))
    assert [encode(decode(encode(output.event))) for output in outputs] == [
        encode(output.event) for output in outputs
    ]
