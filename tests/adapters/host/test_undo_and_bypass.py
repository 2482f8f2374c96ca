"""Undo writes what this executor recorded, nothing else; a bypass counts only as the policy here allows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from plantops.events.base import (
    AssetName,
    CommandId,
    Digest,
    OperationName,
    PrincipalName,
    TagName,
    encode_json,
)
from plantops.events.circumstances import Bypass
from plantops.events.command_parts import (
    APPROVAL_TYPE,
    INTENT_TYPE,
    Approval,
    Grant,
    Intent,
    Write,
    command_id,
)
from plantops.events.commands import CommandClaimed, CommandExecuted, CommandFailed
from plantops.flow.signing import Signer
from plantops.ledger import dsse
from support.host_governed import governed
from support.host_ground import ALICE, ME, PUMP, RUN, SETPOINT, SITE, SPEED, TEMPERATURE, Ground
from support.host_orders import Order, changed, only
from support.host_rig import Rig


async def done(rig: Rig, order: Order) -> CommandExecuted:
    command = await rig.ground.say(order)
    await rig.ground.clock.advance_until(lambda: bool(outcome(rig, command)))
    (event,) = outcome(rig, command)
    assert isinstance(event, CommandExecuted), event
    return event


def outcome(rig: Rig, command: CommandId) -> list[CommandExecuted | CommandFailed]:
    told = rig.ground.told(CommandExecuted, CommandFailed)
    return [
        one for one in told if isinstance(one, (CommandExecuted, CommandFailed)) and one.command == command
    ]


async def refused(rig: Rig, order: Order) -> str:
    command = await rig.ground.say(order)
    await rig.ground.clock.advance_until(lambda: bool(outcome(rig, command)))
    (event,) = outcome(rig, command)
    assert isinstance(event, CommandFailed), event
    assert not event.written
    return event.reason


def back(ground: Ground, before: CommandExecuted | CommandFailed, **changes: object) -> Order:
    """The gate's permit to undo: the operation that is undone, with what it brings back."""
    order = ground.order("SetSpeed", {"RPM": 100.0})
    given = {"undoes": before.command, "writes": before.undo, "compensates": False, **changes}
    return changed(order, **given)


async def test_an_undo_writes_what_was_recorded_and_has_no_undo_itself(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    before = await done(rig, rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    after = await done(rig, back(rig.ground, before))
    assert rig.device.written == [(SETPOINT, 1200.0), (SETPOINT, 100.0)]
    assert after.undo == ()
    await rig.stop()


async def test_what_a_failed_command_left_is_undone_too(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.values[SPEED] = 0.0
    await rig.ground.say(rig.ground.order("Ramp", {"RPM": 1200.0}))
    await rig.ground.clock.advance(6.0)
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    rig.device.values[SPEED] = 100.0
    await done(rig, back(rig.ground, failed))
    assert rig.device.values[SETPOINT] == 100.0
    await rig.stop()


FORGED = (Write(tag=TagName("setpoint"), value=2900.0),)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"writes": FORGED}, "not the recorded way back"),
        ({"undoes": CommandId("nobody")}, "has done nothing"),
        ({"writes": ()}, "writes what was recorded"),
        ({"compensates": True}, "writes what was recorded"),
    ],
)
async def test_other_writes_than_the_recorded_ones_are_refused(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    rig = await Rig(tmp_path).up()
    before = await done(rig, rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    assert reason in await refused(rig, changed(back(rig.ground, before), **changes))
    assert len(rig.ground.told(CommandClaimed)) == 1
    assert rig.device.written == [(SETPOINT, 1200.0)]
    await rig.stop()


async def test_a_record_that_somebody_else_signed_or_of_another_asset_is_none(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    before = await done(rig, rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    assert before.decision is not None
    forged = msgspec.structs.replace(before, command=CommandId("forged"), undo=FORGED)
    subject = f"cmd.{SITE}.executed.{ME}.forged"
    message = Signer(ME, rig.ground.keys.stranger).message(subject, forged, id="forged", time=0)
    await rig.ground.gate_bus.publish(message, stream="COMMANDS")
    assert "no outcome that can be undone" in await refused(rig, back(rig.ground, forged))
    elsewhere = msgspec.structs.replace(before.decision, asset=AssetName("pump-002"))
    other = msgspec.structs.replace(before, command=CommandId("other"), decision=elsewhere)
    message = rig.ground.signer.message(f"cmd.{SITE}.executed.{ME}.other", other, id="other", time=0)
    await rig.ground.gate_bus.publish(message, stream="COMMANDS")
    assert "was not of" in await refused(rig, back(rig.ground, other))
    assert rig.device.written == [(SETPOINT, 1200.0)]
    await rig.stop()


async def test_what_was_taken_back_already_leaves_nothing_to_undo(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, ground=governed()).up()
    rig.device.refused.add(RUN)
    await rig.ground.say(rig.ground.order("Start", {"RPM": 900.0}))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert failed.compensated
    assert "left no way back" in await refused(rig, back(rig.ground, failed, writes=FORGED))
    await rig.stop()


def bypass(ground: Ground, **changes: object) -> Bypass:
    granted = Bypass(
        bypass=command_id(ALICE, "bypass1"),
        asset=PUMP,
        permissive="cool",
        bypass_class="maintenance",
        owner=PrincipalName("alice"),
        reason="the sensor is exchanged",
        measure="a person reads the thermometer",
        since=ground.now() - timedelta(seconds=10),
        expires_at=ground.now() + timedelta(seconds=600),
    )
    return msgspec.structs.replace(granted, **changes)


def grant(
    ground: Ground, granted: Bypass, *, asked: dict[str, object] | None = None, by: str = "bob"
) -> Grant:
    """What alice signed for a bypass, and who approved it."""
    words = Intent(
        site=SITE,
        asset=granted.asset,
        operation=OperationName("act-bypass"),
        arguments={"permissive": "cool", "seconds": 610.0, "reason": "r", "measure": "m"},
        actor=ALICE,
        key="bypass1",
        nonce="n",
        issued_at=ground.now() - timedelta(seconds=20),
        expires_at=ground.now() + timedelta(seconds=60),
        model=ground.plant.digest,
    )
    words = msgspec.structs.replace(words, **(asked or {}))
    intent = dsse.encode(dsse.seal(INTENT_TYPE, encode_json(words), ground.keys.alice)).decode()
    word = Approval(
        site=SITE,
        command=granted.bypass,
        person=PrincipalName(by),
        verdict="approve",
        intent=Digest(hashlib.sha256(intent.encode()).hexdigest()),
        decision=Digest("d" * 64),
        issued_at=ground.now() - timedelta(seconds=15),
        expires_at=ground.now() + timedelta(minutes=5),
        nonce="n",
    )
    key = {"alice": ground.keys.alice, "bob": ground.keys.bob}[by]
    approved = dsse.encode(dsse.seal(APPROVAL_TYPE, encode_json(word), key)).decode()
    return Grant(bypass=granted.bypass, intent=intent, approvals=(approved,))


def hot(rig: Rig, **changes: object) -> Order:
    """A command that only a bypass lets through, and the permit that carries one."""
    rig.device.values[TEMPERATURE] = 95.0
    granted = bypass(rig.ground, **changes)
    order = rig.ground.order("SetSpeed", {"RPM": 1200.0})
    return changed(order, bypasses=(granted,), grants=(grant(rig.ground, granted),))


async def test_a_bypass_of_the_permit_counts_and_stands_in_the_decision(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    event = await done(rig, hot(rig))
    assert [one.bypass for one in event.decision.circumstances.bypasses] == [command_id(ALICE, "bypass1")]
    assert "bypassed by alice" in event.decision.findings[-1].text
    await rig.stop()


FORGED_GRANTS: list[tuple[str, Callable[[Ground, Bypass], tuple[Grant, ...]]]] = [
    ("nobody's signature", lambda _ground, _granted: ()),
    ("0 of 1 persons", lambda ground, it: (msgspec.structs.replace(grant(ground, it), approvals=()),)),
    ("none of the roles", lambda ground, it: (grant(ground, it, by="alice"),)),
    ("120 s only", lambda ground, it: (grant(ground, it, asked=seconds(120.0)),)),
    ("another permissive", lambda ground, it: (grant(ground, it, asked={"arguments": {"seconds": 900}}),)),
    ("another command", lambda ground, it: (grant(ground, it, asked={"key": "k"}),)),
    ("something else", lambda ground, it: (grant(ground, it, asked={"mode": "simulate"}),)),
    ("something else", lambda ground, it: (grant(ground, it, asked={"asset": "pump-002"}),)),
    ("while the signed intent stood", lambda ground, it: (grant(ground, it, asked=ago(ground)),)),
]


def seconds(span: float) -> dict[str, object]:
    return {"arguments": {"permissive": "cool", "seconds": span}}


def ago(ground: Ground) -> dict[str, object]:
    return {"expires_at": ground.now() - timedelta(seconds=15)}


@pytest.mark.parametrize("case", range(len(FORGED_GRANTS)))
async def test_a_bypass_that_only_the_gate_signed_is_none(tmp_path: Path, case: int) -> None:
    why, forge = FORGED_GRANTS[case]
    rig = await Rig(tmp_path).up()
    order = hot(rig)
    (granted,) = order.permit.bypasses
    reason = await refused(rig, changed(order, grants=forge(rig.ground, granted)))
    assert why in reason
    assert "does not count" in reason
    assert rig.device.written == []
    await rig.stop()


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bypass_class": "wish"}, "does not allow the bypass"),
        ({"permissive": "dry"}, "does not allow the bypass"),
        ({"asset": AssetName("pump-002")}, "does not allow the bypass"),
        ({"expires_at": 2 * HOUR}, "does not allow the bypass"),
        ({"expires_at": timedelta(seconds=-1)}, "permissive:cool"),
        ({"since": timedelta(seconds=60)}, "permissive:cool"),
    ],
)
async def test_a_bypass_that_the_policy_here_does_not_allow_or_whose_time_is_not_now_is_none(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    rig = await Rig(tmp_path).up()
    now = rig.ground.now()
    spoilt = {name: now + value if isinstance(value, timedelta) else value for name, value in changes.items()}
    assert reason in await refused(rig, hot(rig, **spoilt))
    assert rig.device.written == []
    await rig.stop()
