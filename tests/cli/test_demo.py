"""The demo keeps what it promises, and leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from support.command_line import PLANTOPS, plantops

STOP_SECONDS = 30.0

# In this order, one or more for each step of the story.
PROMISED = (
    r"plc1\.pump\.speed  .* good +plc1",
    r"opc1\.tank\.level  .* good +opc1",
    r"c1 pump-001\.StartPump",
    r"simulated plc1\.pump\.run → on; next: confirm",
    r"executed plc1\.pump\.run: off → on, read back on verified",
    r"plc1\.pump\.running = on good",
    r"executed plc1\.pump\.speed_setpoint: 0 → 1200, read back 1200 verified",
    r"denied role: no role of carol covers pump-001\.SetSpeed",
    r"denied permissive:motor-cool: .* is 96\.0 Cel, must be <= 95\.0",
    r"plc1\.pump\.motor_temperature = .* bad_\w+",
    r"denied .* has quality bad_\w+",
    r"safe_permitted plc1\.pump\.run = off",
    r"executed plc1\.pump\.run: on → off, read back off verified",
    r"denied ",
    r"plc1\.pump\.running = off good",
    r"alice's own approval is refused: alice asked for it",
    r"bob approves c\d+",
    r"pump-001\.ResetFault by alice: executed",
    r"nats pub intent\.demo\.alice\.valve-001\.SetPosition",
    r"valve-001\.SetPosition by alice: executed",
    r"verified: \d+ records",
    r"verified offline: \d+ records",
    r"one byte of .* changed",
    r"bad_signature at record \d+",
    r"The story took \d+ s",
)


def left(folder: Path) -> list[str]:
    """Processes that have anything of `folder` in their command."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it ended while we looked
            if str(folder) in words:
                found.append(words)
    return found


def test_the_demo_tells_its_whole_story_and_leaves_nothing(tmp_path: Path) -> None:
    done = plantops("demo", environment={"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    at = 0
    for promise in PROMISED:
        found = re.compile(promise).search(done.stdout, at)
        assert found, f"{promise!r} is not told after: {done.stdout[at - 300 : at]!r}"
        at = found.end()
    assert left(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["broker: ", "title"])
def test_an_interrupted_demo_stops_what_it_started(tmp_path: Path, moment: str) -> None:
    process = subprocess.Popen(
        [*PLANTOPS, "demo", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if moment in (told["event"], told["text"][: len(moment)]):
                break
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=STOP_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 130, errors
    assert errors == ""
    assert all(json.loads(line) for line in rest.splitlines())
    assert left(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
