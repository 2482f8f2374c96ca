"""The real `plantops` as a process, and what must hold of every failure of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PLANTOPS = (sys.executable, "-m", "plantops.cli.main")
PATIENCE_SECONDS = 100.0


def plantops(
    *words: str | Path, environment: Mapping[str, str] | None = None, feed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, without a terminal."""
    return subprocess.run(
        [*PLANTOPS, *map(str, words)],
        input=feed,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env={**os.environ, **(environment or {})},
    )


def refusal(*words: str | Path, code: int = 1, environment: Mapping[str, str] | None = None) -> str:
    """The one line with which it fails, without `error: `."""
    done = plantops(*words, environment=environment)
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    lines = done.stderr.splitlines()
    assert len(lines) == 1, f"not one line: {done.stderr}"
    assert lines[0].startswith("error: "), done.stderr
    return lines[0].removeprefix("error: ")
