"""Who has the gate's own key and login can sign permits. What he cannot sign are the persons' words."""

from __future__ import annotations

from pathlib import Path

from plantops.events.commands import CommandClaimed, CommandExecuted, CommandFailed, SafePermitted
from support.host_ground import PUMP, Ground
from support.host_orders import FINALS, only
from support.host_rig import Rig


async def test_a_permit_that_only_the_gate_signed_is_not_carried_out(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, ground=Ground(unsigned_risk="")).up()
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert "nobody's signature stands behind the permit" in failed.reason
    assert not failed.written
    assert rig.ground.told(CommandClaimed) == []
    assert rig.device.written == []
    await rig.stop()


async def test_a_stop_needs_the_gate_s_signature_only(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, ground=Ground(unsigned_risk="")).up()
    stop = rig.ground.order("Stop", generation=1)
    assert isinstance(stop, SafePermitted)
    assert stop.permit.asset == PUMP
    await rig.ground.raise_generation(1)
    await rig.ground.say(stop)
    assert isinstance(await only(rig, *FINALS), CommandExecuted)
    await rig.stop()
