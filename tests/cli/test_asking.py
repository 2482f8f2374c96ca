"""`plantops ask` on a running site: words in, an answer and an exit code out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plantops.cli.asking import _check, _Speaker
from plantops.events.base import CommandId
from plantops.events.chatting import ChatAsked, ChatTaken, TurnAskedFor, TurnTold
from plantops.events.conversation import ToolOutcome
from plantops.runtime.errors import PlantOpsError, Refused
from support.command_line import plantops, refusal
from support.site import RunningSite, make_site, until


async def answering(site: RunningSite) -> None:
    """Once the agent answers, and tools behind it: they start beside the rest."""
    async with site.session("carol") as carol:

        async def look() -> TurnTold | None:
            try:
                taken = await carol.ask_door("chat", "ask", ChatAsked(message="help"), ChatTaken)
                asked = TurnAskedFor(conversation=taken.conversation, turn=taken.turn, wait_seconds=2.0)
                return await carol.ask_door("chat", "watch", asked, TurnTold)
            except PlantOpsError:
                return None

        await until(look, lambda told: told is not None and told.status == "answered", "the agent answers")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A running demo site with tools, agent and gateway."""
    made = make_site(tmp_path_factory.mktemp("site") / "demo", front=True)
    try:
        asyncio.run(made.start())
        asyncio.run(answering(made))
        yield made
        made.stop()
    finally:
        if made.process is not None:
            made.clear(made.process)


def told(*outcomes: ToolOutcome, status: Any = "answered") -> TurnTold:
    return TurnTold(conversation="one", turn=1, revision=1, status=status, text="", outcomes=outcomes)


def outcome(status: Any, *, command: str = "id") -> ToolOutcome:
    success = status in ("completed", "simulated_only", "pending_approval", "read")
    return ToolOutcome(tool="t", status=status, success=success, command=CommandId(command), handle="c1")


def test_a_stop_is_asked_in_plain_words_and_goes_on_in_its_conversation(site: RunningSite) -> None:
    as_alice = ("--folder", site.root, "--as", "alice", "--conversation", "shift")
    stopped = plantops("ask", "stop pump-001", *as_alice, "--key", "k1")
    assert stopped.returncode == 0, stopped.stderr
    assert "pump-001__StopPump  completed" in stopped.stdout
    again = plantops("ask", "stop pump-001", *as_alice, "--key", "k1", "--json")
    assert again.returncode == 0, again.stderr
    turn = json.loads(again.stdout)
    assert (turn["turn"], turn["status"]) == (1, "answered")
    waits = json.loads(plantops("ask", "set pump-001 speed to 1200 rpm", *as_alice, "--json").stdout)
    assert (waits["turn"], waits["pending_approval"]) == (2, True)
    assert [one["status"] for one in waits["outcomes"]] == ["pending_approval"]


def test_a_message_that_does_not_fit_is_refused_in_one_line(site: RunningSite) -> None:
    line = refusal("ask", "x" * 5000, "--folder", site.root, "--as", "alice")
    assert "1 to 4000 characters" in line


def test_a_reset_names_its_conversation(tmp_path: Path) -> None:
    line = refusal("ask", "hello", "--reset", "--folder", tmp_path, code=2)
    assert "--conversation" in line


@pytest.mark.parametrize("status", ["completed", "simulated_only", "pending_approval", "read"])
def test_what_went_as_it_was_wanted_is_no_failure(status: str) -> None:
    _check(told(outcome(status)))


@pytest.mark.parametrize("status", ["denied", "failed", "unknown"])
def test_a_script_does_not_go_on_behind_a_command_that_was_not_done(status: str) -> None:
    with pytest.raises(Refused, match=f"c1 {status}"):
        _check(told(outcome("completed"), outcome(status)))


def test_a_script_does_not_go_on_behind_a_turn_without_an_answer() -> None:
    with pytest.raises(Refused, match="is over_budget"):
        _check(told(status="over_budget"))


def test_a_growing_text_is_printed_once_and_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    speaker = _Speaker(is_silent=False)
    for text in ("One", "One two", "One two\n\nthree\x1b[2J", "three\x1b[2J"):
        speaker.say(text)
    speaker.end()
    assert capsys.readouterr().out == "One two\n\nthree\\x1b[2J\n"
