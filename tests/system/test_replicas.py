"""Several gates of one site: one is at work, and whatever happens to it, another goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from plantops.cli.session import Session
from plantops.events import decode
from plantops.events.base import CommandId
from plantops.events.commands import CommandDenied, CommandPermitted, CommandRequested
from plantops.events.envelope import EVENT_ID
from plantops.events.queries import IntentTaken, read_answer
from plantops.flow.declaration import snapshot_stream, snapshot_subject
from plantops.flow.snapshot import OWNER
from plantops.policy.highwater import FILE_NAME, HighWater, Mark
from plantops.runtime.errors import BrokerUnavailable
from support.history import lives, stored
from support.replaying import check_replayed
from support.site import RunningSite, make_site, send_patiently, until
from system.test_kills import Work, at_work, check_all

GATES = ("gate", "gate-2")
STOPPING_GATE = Path(__file__).parents[1] / "support" / "stopping_gate.py"


@pytest.fixture(scope="module")
def two_gates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    site = make_site(tmp_path_factory.mktemp("gates") / "demo")
    site.gates = len(GATES)
    try:
        asyncio.run(site.start())
        yield site
        site.stop()
    finally:
        if site.process is not None:
            site.clear(site.process)


async def owner_of(site: RunningSite) -> str:
    """Which run of the gate owns the fold."""
    async with site.reader() as bus:
        kept = await bus.last(snapshot_stream("gate"), snapshot_subject("gate", ">"))
    return kept.headers.get(OWNER, "") if kept else ""


async def gate_at_work(site: RunningSite) -> str:
    """Which of the two processes is at work, by what each says in its log."""

    async def look() -> list[str]:
        return [name for name in GATES if _last_word(site, name) == "standby.begins"]

    return (await until(look, lambda found: len(found) == 1, "one gate is at work"))[0]


def _last_word(site: RunningSite, name: str) -> str:
    words = ("standby.begins", "standby.replaced", "standby.waiting", '"running"')
    last = ""
    for line in (site.root / "logs" / f"{name}.log").read_text(errors="replace").splitlines():
        if '"identity": "gate"' in line or line.startswith("running "):
            last = next((word for word in words if word in line), last)
    return last


async def last_word(site: RunningSite, name: str) -> str:
    return _last_word(site, name)


async def check_one_answer_each(site: RunningSite, work: Work) -> None:
    """No command was permitted twice, and no other gate's words stand between."""
    async with site.reader() as bus:
        found = await lives(bus)
    for command in work.sent:
        said = [type(event).__name__ for event in found[command].events]
        assert found[command].count(CommandPermitted) + found[command].count(CommandDenied) <= 1, said


async def test_each_gate_keeps_its_high_water_mark_in_a_folder_of_its_own(two_gates: RunningSite) -> None:
    paths = [two_gates.site.folder.state("gate", number) / FILE_NAME for number in (1, 2)]

    async def look() -> list[Mark | None]:
        return [HighWater.load(path).mark for path in paths]

    marks = await until(look, lambda found: None not in found, "both remember the policy")
    assert marks[0] == marks[1]


async def test_a_standby_takes_over_from_a_gate_that_was_killed(two_gates: RunningSite) -> None:
    site = two_gates
    first, before = await gate_at_work(site), await owner_of(site)
    async with at_work(site) as work:
        await work.until_executed(2)
        os.kill(site.running.processes[first], signal.SIGKILL)
        await work.until_executed(3)
    assert await gate_at_work(site) != first
    assert await owner_of(site) != before
    await check_one_answer_each(site, work)
    await check_all(site, work)


async def test_a_gate_that_hung_and_wakes_up_says_no_wrong_word(two_gates: RunningSite) -> None:
    site = two_gates
    first = await gate_at_work(site)
    async with at_work(site) as work:
        await work.until_executed(2)
        async with site.paused(first):
            await work.until_executed(3)
        await until(lambda: last_word(site, first), lambda word: word == "standby.waiting", "it stands by")
        await work.until_executed(2)
    assert await gate_at_work(site) != first
    await check_one_answer_each(site, work)
    await check_all(site, work)


@contextmanager
def third_gate(site: RunningSite, armed: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One that stops itself between a judgement and its storing, once `armed` is there."""
    # -P: beside the file lies a module that is called like a package that it needs.
    words = [
        sys.executable,
        "-P",
        STOPPING_GATE,
        armed,
        "run",
        "gate",
        "--replica",
        "3",
        "--folder",
        site.root,
    ]
    with (site.root / "logs" / "gate-3.log").open("ab") as log:
        process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def is_stopped(pid: int) -> bool:
    """Whether a process is there and does not run."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_what_a_gate_was_about_to_say_when_it_fell_asleep_is_said_by_another_and_once(
    two_gates: RunningSite, tmp_path: Path
) -> None:
    site, armed = two_gates, tmp_path / "armed"

    async def third() -> str:
        return _last_word(site, "gate-3")

    with third_gate(site, armed) as gate:
        await until(third, lambda word: word == "standby.waiting", "the third gate stands by")
        for name in GATES:
            os.kill(site.running.processes[name], signal.SIGSTOP)
        await until(third, lambda word: word == "standby.begins", "the third gate takes over")
        for name in GATES:
            os.kill(site.running.processes[name], signal.SIGCONT)
        for name in GATES:
            await until(partial(last_word, site, name), lambda word: word == "standby.waiting", name)
        async with site.session("bob") as bob:
            intent = bob.intent("pump-001", "StopPump", {})
            armed.touch()
            command = (await send_patiently(bob, intent)).command
            await until(lambda: judged(site), lambda found: command in found, "another gate judges it")
            assert not armed.exists()
            assert is_stopped(gate.pid)
        gate.send_signal(signal.SIGCONT)
        await until(third, lambda word: word == "standby.waiting", "the third gate was replaced")
    async with site.reader() as bus:
        said = [message.headers[EVENT_ID] for message in await stored(bus, "COMMANDS", "cmd.demo.*.gate.*")]
    assert [each for each, times in Counter(said).items() if times > 1] == []
    await check_replayed(site)


async def judged(site: RunningSite) -> set[CommandId]:
    """The commands of which the gates have said anything."""
    async with site.reader() as bus:
        found = await lives(bus)
    return set(found)


async def ask_without_key(here: Session, mark: str) -> bool:
    """Whether the door took it; not knowing is no."""
    body = json.dumps({"arguments": {"PERCENT": 20.0}, "reason": mark}).encode()
    try:
        reply = await here.bus.request("intent.demo.alice.valve-001.SetPosition", body, timeout=1.0)
    except BrokerUnavailable:
        return False
    return isinstance(read_answer(reply.data, IntentTaken), IntentTaken)


async def test_words_without_a_key_that_two_gates_have_heard_are_one_command(two_gates: RunningSite) -> None:
    site, marks = two_gates, [f"ask {number}" for number in range(40)]
    first = await gate_at_work(site)
    async with site.session("alice") as alice:
        # It hangs with its doors open: what is asked meanwhile it will hear when it wakes.
        async with site.paused(first):
            taken = [mark for mark in marks if await ask_without_key(alice, mark)]
        await until(lambda: last_word(site, first), lambda word: word == "standby.waiting", "it stands by")
        assert await ask_without_key(alice, "the last")
    async with site.reader() as bus:
        events = [decode(message.data) for message in await stored(bus, "INTENTS")]
    asked = Counter(event.intent.reason for event in events if isinstance(event, CommandRequested))
    assert len(taken) > len(marks) // 2
    assert {mark: asked[mark] for mark in taken} == dict.fromkeys(taken, 1)
    assert not [mark for mark in marks if asked[mark] > 1]
