"""Breaks of the code under test are found: the model is not blind."""

from __future__ import annotations

import pytest

from soak.mutants import MUTANTS, Mutant, found_after


@pytest.mark.parametrize("mutant", MUTANTS, ids=[each.text for each in MUTANTS])
def test_a_broken_gate_or_executor_is_found(mutant: Mutant) -> None:
    steps, what = found_after(mutant)
    assert steps, f"not found: {mutant.text}"
    assert what
