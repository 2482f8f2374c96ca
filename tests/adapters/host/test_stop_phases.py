"""A stop is written and recorded whatever its asset's other command waits for, and that one ends honestly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from plantops.events import Event
from plantops.events.base import CommandId, Scalar
from plantops.events.commands import (
    CommandClaimed,
    CommandExecuted,
    CommandFailed,
    DryRunDone,
    OutcomeUnknown,
)
from plantops.events.governance import CommandProgressed
from support.host_ground import RUN, SETPOINT, Ground
from support.host_orders import simulation
from support.host_rig import Notary, Rig
from support.manual_clock import calm

STOPPED = [(RUN, False), (SETPOINT, 0.0)]
ENDS = (CommandExecuted, CommandFailed, OutcomeUnknown, DryRunDone)
Reach = Callable[[Rig], Awaitable[CommandId]]


class SlowNotary(Notary):
    """Acknowledges nothing until `answers` is set, but for what has the journal to go to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_slow = False
        self.waiting: list[str] = []

    async def append(self, kind: str, body: Event, *, command: str = "") -> None:
        if self.is_slow and kind == "command.claimed":
            self.waiting.append(command)
            while self.is_slow:
                await calm()
        await super().append(kind, body, command=command)

    async def append_or_journal(self, kind: str, body: Event, *, command: str = "") -> bool:
        self.journal.append(f"{kind} {command}")
        return False


def said_of(rig: Rig, command: CommandId, *kinds: type[Event]) -> list[Event]:
    return [event for event in rig.ground.told(*kinds) if getattr(event, "command", "") == command]


async def simulating(rig: Rig) -> CommandId:
    """The device does not answer the dry run's reads."""
    rig.device.may_read.clear()
    command = await rig.ground.say(simulation(rig.ground.order("SetSpeed", {"RPM": 1200.0})))
    await calm()
    assert rig.device.concurrent_requests
    return command


async def claimed(rig: Rig) -> CommandId:
    """The audit does not acknowledge the claim."""
    assert isinstance(rig.notary, SlowNotary)
    rig.notary.is_slow = True
    command = await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    await calm()
    assert rig.notary.waiting == [command]
    assert said_of(rig, command, CommandClaimed)
    return command


async def reading(rig: Rig) -> CommandId:
    """The device does not tell the inputs that the command is judged by."""
    rig.device.may_read.clear()
    command = await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    await calm()
    assert "command.claimed " + command in rig.notary.records
    return command


async def between_steps(rig: Rig) -> CommandId:
    """The first of two steps is written and proved; the inputs of the second do not come."""
    command = await rig.ground.say(rig.ground.order("Start", {"RPM": 1200.0}))
    rig.device.on_write = hang_after(rig, reads=1)
    await calm()
    assert said_of(rig, command, CommandProgressed)
    assert rig.device.written == [(SETPOINT, 1200.0)]
    return command


async def verifying(rig: Rig) -> CommandId:
    """It is written; what would prove it cannot be read."""
    command = await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    rig.device.on_write = hang_after(rig, reads=0)
    await calm()
    assert rig.device.written == [(SETPOINT, 1200.0)]
    return command


async def settling(rig: Rig) -> CommandId:
    """It is written; the speed does not come."""
    command = await rig.ground.say(rig.ground.order("Ramp", {"RPM": 1200.0}))
    await rig.ground.clock.advance(1.0)
    assert rig.device.written == [(SETPOINT, 1200.0)]
    return command


def hang_after(rig: Rig, *, reads: int) -> Callable[[int, Scalar], None]:
    """The device takes the next write, answers so many reads more, and no further one."""

    def answered() -> None:
        nonlocal reads
        reads -= 1
        if reads <= 0:
            rig.device.may_read.clear()
            rig.device.on_read = lambda: None

    def write(tag: int, value: Scalar) -> None:
        rig.device.values[tag] = value
        rig.device.on_write = rig.device.values.__setitem__
        if reads:
            rig.device.on_read = answered
        else:
            rig.device.may_read.clear()

    return write


@pytest.mark.parametrize(
    ("reach", "is_written"),
    [
        (simulating, False),
        (claimed, False),
        (reading, False),
        (between_steps, True),
        (verifying, True),
        (settling, True),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_a_stop_is_written_at_once_whatever_the_other_command_waits_for(
    tmp_path: Path, reach: Reach, is_written: bool
) -> None:
    rig = await Rig(tmp_path, concurrent=True, notary=SlowNotary()).up()
    assert isinstance(rig.notary, SlowNotary)
    other = await reach(rig)
    stop = rig.ground.order("Stop", generation=1)
    await rig.ground.raise_generation(1)
    await rig.ground.say(stop)
    await calm()
    # Nothing has been let go: device and audit still hang where they hung.
    assert rig.device.written[-2:] == STOPPED
    assert len(rig.device.written) == 2 + is_written
    assert f"command.claimed {stop.command}" in rig.notary.journal

    rig.notary.is_slow = False
    rig.device.may_read.set()
    await rig.ground.clock.advance_until(lambda: bool(said_of(rig, other, *ENDS)))
    await rig.ground.clock.advance_until(lambda: bool(said_of(rig, stop.command, *ENDS)))
    assert rig.device.written[-2:] == STOPPED
    assert len(rig.device.written) == 2 + is_written
    (executed,) = said_of(rig, stop.command, *ENDS)
    assert isinstance(executed, CommandExecuted)
    (end,) = said_of(rig, other, *ENDS)
    if reach is simulating:
        assert isinstance(end, DryRunDone)
    else:
        assert isinstance(end, CommandFailed), end
        assert end.written is is_written
        assert "overtaken" in end.reason or "generation" in end.reason
    await rig.stop()


async def test_a_stop_voids_a_permit_that_nobody_has_claimed_yet(tmp_path: Path) -> None:
    ground = Ground()
    other, stop = ground.order("Start", {"RPM": 1200.0}), ground.order("Stop", generation=1)
    await ground.say(other)
    await ground.raise_generation(1)
    await ground.say(stop)
    rig = Rig(tmp_path, ground=ground)
    await ground.clock.advance_until(lambda: len(ground.told(*ENDS)) == 2)
    assert rig.device.written == STOPPED
    (executed,), (end,) = said_of(rig, stop.command, *ENDS), said_of(rig, other.command, *ENDS)
    assert isinstance(executed, CommandExecuted)
    assert isinstance(end, CommandFailed)
    assert not end.written
    await rig.stop()
