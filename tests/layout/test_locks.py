"""The locks: every pin has its hash, and what runs is what was tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from layout.repository import text_of

TESTED, RUN, BUILD = "requirements.txt", "requirements-run.txt", "requirements-build.txt"
PIN = re.compile(r"^(?P<name>[A-Za-z0-9_.-]+)==(?P<version>\S+)(?P<rest>[^\n]*)", re.MULTILINE)


def pins(lock: str) -> dict[tuple[str, str], str]:
    """Name and version to the rest of the line: markers and hashes."""
    logical = text_of(Path(lock)).replace("\\\n", " ")
    return {(found["name"], found["version"]): found["rest"] for found in PIN.finditer(logical)}


@pytest.mark.parametrize("lock", [RUN, BUILD])
def test_the_image_is_made_of_pins_that_were_tested(lock: str) -> None:
    found, tested = pins(lock), pins(TESTED)
    assert found
    assert set(found) - set(tested) == set()
    assert [pin for pin, rest in found.items() if "--hash=sha256:" not in rest] == []
    assert not re.search(
        r"^\s*(-i|--(extra-)?index-url|--find-links|-f)\b", text_of(Path(lock)), re.MULTILINE
    )


def test_no_tool_of_the_tests_is_in_the_image() -> None:
    names = {name for name, _version in pins(RUN)}
    assert names & {"pytest", "hypothesis", "mypy", "ruff", "testcontainers", "hatchling", "pip"} == set()
    assert {"nats-py", "pynacl", "duckdb"} <= names
