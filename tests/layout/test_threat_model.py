"""Each attack in the threat model names a test that exists."""

from __future__ import annotations

import re

import pytest

from layout.repository import ROOT

TEXT = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = re.compile(r"`([a-z_0-9]+(?:/[a-z_0-9]+)*/test_[a-z_0-9]+)(?:::(test_[a-z_0-9]+))?`")
# The weaknesses of the two systems that this one replaces; each has its row.
KNOWN = (*(f"B{n}" for n in range(1, 12)), *(f"W{n}" for n in (*range(1, 22), *range(25, 32)) if n != 15))


@pytest.mark.parametrize(("path", "test"), sorted(set(NAMED.findall(TEXT))))
def test_a_named_test_exists(path: str, test: str) -> None:
    file = ROOT / "tests" / f"{path}.py"
    assert file.exists(), f"{path} is gone"
    assert not test or f"def {test}(" in file.read_text(), f"{path} has no {test}"


def test_every_known_weakness_has_a_row_with_a_test() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and NAMED.search(line)]
    held = {mark for line in rows for mark in re.findall(r"\b[BW]\d+\b", line)}
    assert [mark for mark in KNOWN if mark not in held] == []
