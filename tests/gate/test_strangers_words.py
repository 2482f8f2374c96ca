"""Whoever may speak at all may say anything: none of it stays in the gate's memory for ever, or ends it."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from plantops.events import decode
from plantops.events.base import AssetName, CommandId, PrincipalName, encode_json
from plantops.events.command_parts import APPROVAL_TYPE, Approval
from plantops.events.commands import ApprovalRequested, CommandDenied, CommandPermitted
from plantops.flow.streams import streams
from plantops.gate.door import MAX_APPROVAL_BYTES
from plantops.gate.forgetting import REMEMBER
from plantops.ledger import dsse
from plantops.model.assets import Argument, Model
from plantops.model.load import Plant
from plantops.policy.document import ArgumentLimit, Compare, Limit, OperationRule, Permissive
from support.acts_samples import POLICY_OF_ACTS, ActStory
from support.gate_samples import MODEL, OPC1, PLC1, POLICY, SITE, VALVE, Story, seen, well
from support.plant_samples import NOW, key


def test_names_of_nothing_are_forgotten_with_the_intents_that_named_them() -> None:
    story = Story()
    for number in range(20):
        story.ask(
            "Nothing",
            asset=AssetName(f"ghost{number}"),
            confirms=CommandId(f"bogus{number}"),
            simulation="x",
            signed=False,
        )
    story.wait((REMEMBER + timedelta(hours=1)).total_seconds())
    story.ask("Nothing", asset=AssetName("another"))
    state = story.state
    assert [len(each) for each in (state.asked, state.on_asset, state.standing)] == [1, 1, 1]
    assert not state.by_simulation


def test_a_drift_that_no_number_holds_is_not_known_and_spoils_no_snapshot() -> None:
    operations = dict(MODEL.assets[VALVE].operations)
    free = {"PERCENT": Argument(type="number", unit="%")}
    operations["SetPosition"] = msgspec.structs.replace(operations["SetPosition"], arguments=free)
    asset = msgspec.structs.replace(MODEL.assets[VALVE], operations=operations)
    plant = Plant.of(Model(assets={**MODEL.assets, VALVE: asset}), (PLC1, OPC1))
    anywhere = Permissive(
        id="known",
        applies=("valve-001.SetPosition",),
        require=Compare(property="valve-001.command", op="<=", value=1e308),
    )
    policy = msgspec.structs.replace(POLICY, model=plant.digest, permissives=(anywhere,))
    story = Story(policy=policy, plant=plant)
    far = well(seen("opc1.command", -1.7e308), at=story.now)
    story.ask("SetPosition", {"PERCENT": 1.7e308}, asset=VALVE, observation=far)
    command = story.only(CommandPermitted).command
    assert story.state.uses[command].unknown == ("PERCENT",)
    again = story.gate.load(story.gate.dump(story.state))
    assert again.uses == story.state.uses


def test_what_is_too_much_to_be_stored_is_denied_and_not_said() -> None:
    """Words of eight approvers fit; whatever else comes together, the gate goes on."""
    (limit,) = [stream.max_message_bytes for stream in streams() if stream.name == "COMMANDS"]
    rules = {
        **POLICY.operations,
        "pump-001.ResetFault": OperationRule(approvals=1, approval_roles=("supervisor",)),
    }
    for size, kind in ((MAX_APPROVAL_BYTES, CommandPermitted), (limit, CommandDenied)):
        story = Story(policy=msgspec.structs.replace(POLICY, operations=rules))
        wanted = story.waiting()
        words = dsse.encode(dsse.seal(APPROVAL_TYPE, encode_json(word(wanted)), key("bob"))).decode()
        story.approve(wanted, "bob", evidence=words + " " * (size - len(words)))
        assert isinstance(story.out[-1], kind)
        assert all(len(encode_json(event)) < limit for event in story.out)
    story.denied("too_large")


def word(wanted: ApprovalRequested) -> Approval:
    return Approval(
        site=SITE,
        command=wanted.command,
        person=PrincipalName("bob"),
        verdict="approve",
        intent=wanted.intent,
        decision=wanted.decision,
        issued_at=NOW,
        expires_at=NOW + timedelta(minutes=5),
        nonce="n",
    )


@pytest.mark.parametrize("value", [10**400, -(10**30), 2**64])
def test_an_executor_that_tells_a_number_nobody_can_calculate_with_ends_no_gate(value: int) -> None:
    bounded = OperationRule(limits={"PERCENT": ArgumentLimit(max_change=50.0)})
    drift = Limit(id="drift", applies=("valve-001.*",), drift={"PERCENT": 500.0})
    rules = {**POLICY_OF_ACTS.operations, "valve-001.SetPosition": bounded}
    story = ActStory(msgspec.structs.replace(POLICY_OF_ACTS, operations=rules, limits=(drift,)))
    moved = story.positioned(40.0, before=value)
    story.act("undo", {"command": moved}, asset=VALVE)
    assert "argument:PERCENT" in story.only(CommandDenied).reason
    assert decode(encode_json(story.out[0])) == story.out[0]
