"""A gate that stops itself, as if its machine slept, when it has judged and nothing of it is stored yet.

`python stopping_gate.py <file> run gate ...`: once, at the first judgement while that file is there.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from plantops.cli.main import run
from plantops.flow.shell import Shell

ARMED = Path(sys.argv[1])


def reached(_shell: Shell[Any], point: str) -> None:
    """The shell's marked points."""
    if point == "stepped" and ARMED.exists():
        ARMED.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    Shell.reached = reached  # type: ignore[method-assign, assignment]  # the point is there for this
    sys.exit(run(sys.argv[2:]))
