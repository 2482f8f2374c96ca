"""A host is killed (kill -9) in the middle of a turn; another one ends it, and the plant is asked once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from plantops.agent.port import ModelReply
from plantops.events.chatting import TurnTold
from support.agent_process import spawn
from support.agent_rig import READ, SPEED, AgentRig, says, wants
from support.nats import until

REPLIES = {"half of it": [wants(READ), wants(SPEED), says("done")]}
PATIENCE = 60.0  # the broker gives a dead host's turn away after ten seconds


@contextmanager
def host(
    rig: AgentRig, replies: dict[str, list[ModelReply]], *, dies_at: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    process = spawn(rig, replies, dies_at=dies_at)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def up(rig: AgentRig, process: subprocess.Popen[bytes]) -> None:
    log = rig.state / "agent.log"
    await until(
        lambda: process.poll() is not None or (rig.state / f"ready-{process.pid}").exists(), seconds=PATIENCE
    )
    assert process.poll() is None, log.read_text()


async def told_in_the_end(rig: AgentRig, *, dies_at: int) -> TurnTold:
    """One turn, across the death of the host that began it."""
    with host(rig, REPLIES, dies_at=dies_at) as first:
        await up(rig, first)
        taken = await rig.ask("half of it", conversation="one")
        await until(lambda: first.poll() is not None, seconds=PATIENCE)
    with host(rig, REPLIES) as second:
        await up(rig, second)
        return await rig.answered(taken)


@pytest.mark.parametrize("step", [1, 2, 3])
async def test_a_turn_whose_host_is_killed_is_answered_and_commands_once(rig: AgentRig, step: int) -> None:
    told = await told_in_the_end(rig, dies_at=step)
    assert (told.status, told.text) == ("answered", "done")
    assert [one.status for one in told.outcomes] == ["read", "completed"]
    assert len(rig.gate.intents) == 1
    kinds = await rig.kinds()
    assert (kinds.count("TurnAsked"), kinds.count("ModelReplied"), kinds.count("TurnEnded")) == (1, 3, 1)


async def test_a_host_killed_with_its_intent_at_the_gate_commands_once(rig: AgentRig) -> None:
    with host(rig, REPLIES) as first:
        rig.gate.first = lambda _intent: first.kill()
        await up(rig, first)
        taken = await rig.ask("half of it", conversation="one")
        await until(lambda: first.poll() is not None, seconds=PATIENCE)
    assert list(rig.gate.handed_in.values()) == [1]
    # A model says something else the second time: what it had said is stored.
    otherwise = {"half of it": [says("no"), wants((SPEED[0], {"RPM": 2000.0})), says("done")]}
    with host(rig, otherwise) as second:
        await up(rig, second)
        told = await rig.answered(taken)
    assert (told.status, [one.status for one in told.outcomes]) == ("answered", ["read", "completed"])
    # The same bytes came again, and the gate knew them.
    assert list(rig.gate.handed_in.values()) == [2]
