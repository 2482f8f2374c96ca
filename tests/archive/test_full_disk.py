"""A full disk stops storing and nothing else: it is told once, and nothing is lost or doubled by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHILD = Path(__file__).with_name("full_disk_child.py")
WHOLE = {"samples": True, "rolled_up": True, "events": True}
MB = 1024 * 1024


def ran(*words: object) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, CHILD, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(CHILD.parents[1])},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_file_that_may_not_grow_is_told_once_and_nothing_is_lost(tmp_path: Path) -> None:
    told = ["archive.not_stored", "archive.goes_on"]
    assert ran(tmp_path / "live.duckdb", "64MB") == {**WHOLE, "told": told}


def test_a_commit_that_failed_and_is_stored_all_the_same_is_not_stored_twice(small_disk: Path) -> None:
    """DuckDB stores the commit, cannot write the checkpoint behind it, and gives up the open file."""
    told = ["archive.not_stored", "archive.opened_again", "archive.goes_on"]
    assert ran(small_disk / "live.duckdb", "1MB", 4 * MB) == {**WHOLE, "told": told}
