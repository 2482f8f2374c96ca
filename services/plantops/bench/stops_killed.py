"""Which of a site's gates is at work, and whether another one could take over: from their logs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from plantops.bench.demo import Demo
from plantops.deployment.runtime_file import read_running

LOOK_SECONDS = 0.1
# A process that ended several times in a row is started again after 15 s (`deployment.supervisor`).
PATIENCE_SECONDS = 60.0
_AT_WORK, _WAITING = "standby.begins", "standby.waiting"
EVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class _Word:
    """The last that a process said of its turn."""

    event: str
    at: datetime


async def gate_at_work(demo: Demo, since: datetime = EVER) -> int:
    """The process id of the gate at work, as soon as all others stand by.

    What they said before `since` does not count: a gate that was killed says no more. Raises: TimeoutError.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            running = read_running(demo.site.folder)
            assert running is not None
            gates = {name: pid for name, pid in running.processes.items() if name.split("-")[0] == "gate"}
            words = {name: word for name in gates if (word := _last(demo, name)) and word.at > since}
            at_work = [name for name, word in words.items() if word.event == _AT_WORK]
            if len(words) == len(gates) > len(at_work) == 1:
                return gates[at_work[0]]
            await asyncio.sleep(LOOK_SECONDS)


def _last(demo: Demo, name: str) -> _Word | None:
    lines = (demo.site.folder.logs / f"{name}.log").read_text(errors="replace").splitlines()
    mine = [
        line
        for line in lines
        if '"identity": "gate"' in line and line.endswith("}") and (_AT_WORK in line or _WAITING in line)
    ]
    return msgspec.json.decode(mine[-1], type=_Word) if mine else None
