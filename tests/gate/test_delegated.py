"""The gate on what a gateway says for a person, and on what an agent proposes from what it has read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plantops.events.base import Scalar
from plantops.events.commands import (
    ApprovalAccepted,
    ApprovalRefused,
    CommandCancelled,
    CommandDenied,
    CommandPermitted,
    CommandSimulated,
    SafePermitted,
    SimulationOrdered,
)
from plantops.policy.document import Delegated, Principal, Role
from plantops.policy.rights import GATEWAY_ROLE
from support.gate_samples import POLICY, VALVE, Story
from support.plant_samples import key

GATEWAY = "gateway"
SPEED: dict[str, Scalar] = {"RPM": 1200.0}
OPEN: dict[str, Scalar] = {"PERCENT": 40.0}
READ = ("tag:plc1.name@TAGS:7",)


def story(delegated: Delegated) -> Story:
    gateway = Principal(kind="agent", keys=(key(GATEWAY).public.to_base64(),), roles=(GATEWAY_ROLE, "portal"))
    policy = msgspec.structs.replace(
        POLICY,
        principals={**POLICY.principals, GATEWAY: gateway},
        roles={**POLICY.roles, "portal": Role(operations=("*.*",))},
        delegated=delegated,
    )
    return Story(policy=policy)


def for_alice(actor: str = GATEWAY, **more: Any) -> dict[str, Any]:
    return {"actor": actor, "on_behalf_of": ("alice",), **more}


def test_the_gateway_confirms_for_the_person_who_was_shown_the_simulation() -> None:
    told = story(Delegated(confirm_risk="high"))
    first = told.simulated(**for_alice())
    told.ask("SetSpeed", SPEED, confirms=first, **for_alice())
    assert told.only(CommandPermitted).confirms == first


def test_without_a_word_of_the_policy_the_gateway_confirms_nothing() -> None:
    told = story(Delegated())
    first = told.simulated(**for_alice())
    told.ask("SetSpeed", SPEED, confirms=first, **for_alice())
    told.denied("up to risk (none)")
    told.ask("SetSpeed", SPEED, confirms=first)  # she signs it herself
    assert told.only(CommandPermitted).confirms == first


def test_the_gateway_confirms_for_nobody_else() -> None:
    told = story(Delegated(confirm_risk="high"))
    first = told.simulated(**for_alice())
    told.ask("SetSpeed", SPEED, confirms=first, actor=GATEWAY, on_behalf_of=("bob",))
    told.denied("was simulated for Alice, not for Bob")


def test_what_an_agent_simulated_for_a_person_the_person_may_confirm_through_the_gateway() -> None:
    told = story(Delegated(confirm_risk="high"))
    first = told.simulated(**for_alice("agent"))
    told.ask("SetSpeed", SPEED, confirms=first, actor="agent", on_behalf_of=("alice",))
    told.denied("no agent or program")
    told.ask("SetSpeed", SPEED, confirms=first, **for_alice())
    assert told.only(CommandPermitted).confirms == first


def test_an_approval_of_the_gateway_counts_as_one_person_and_never_for_who_asked() -> None:
    told = story(Delegated(approve_risk="critical"))
    wanted = told.waiting()
    told.approve(wanted, "alice", signer=GATEWAY, by=GATEWAY)
    assert "asked for it" in told.only(ApprovalRefused).reason
    told.approve(wanted, "bob", signer=GATEWAY, by=GATEWAY)
    assert told.only(ApprovalAccepted).given == 1
    told.approve(wanted, "bob")
    assert "approved already" in told.only(ApprovalRefused).reason
    told.approve(wanted, "carol")
    assert isinstance(told.out[-1], CommandPermitted)


@pytest.mark.parametrize("signer", ["bob", "agent"])
def test_what_names_a_gateway_and_is_signed_by_another_does_not_count(signer: str) -> None:
    told = story(Delegated(approve_risk="critical"))
    wanted = told.waiting()
    told.approve(wanted, "bob", signer=signer, by=GATEWAY)
    assert "signed by another person" in told.only(ApprovalRefused).reason


def test_without_a_word_of_the_policy_the_gateway_rejects_but_does_not_approve() -> None:
    told = story(Delegated())
    wanted = told.waiting()
    told.approve(wanted, "bob", signer=GATEWAY, by=GATEWAY)
    assert "bob signs the approval himself" in told.only(ApprovalRefused).reason
    told.approve(wanted, "bob", signer=GATEWAY, by=GATEWAY, verdict="reject", reason="not now")
    assert any(isinstance(event, CommandDenied | CommandCancelled) for event in told.out)


def test_what_an_agent_proposes_from_what_it_read_is_simulated_and_waits_for_a_person() -> None:
    told = story(Delegated())
    own = told.ask("SetPosition", OPEN, asset=VALVE, **for_alice("agent"))
    assert told.only(CommandPermitted).command == own  # her own words, risk medium: at once

    told = story(Delegated())
    first = told.ask("SetPosition", OPEN, asset=VALVE, derived_from=READ, **for_alice("agent"))
    assert told.only(SimulationOrdered).command == first
    told.dry_run(first, by="adapter-opc1")
    assert told.one(CommandSimulated).next == "confirm"
    told.ask("SetPosition", OPEN, asset=VALVE, confirms=first)
    assert told.only(CommandPermitted).confirms == first


def test_a_stop_waits_for_nobody_whatever_it_rests_on() -> None:
    told = story(Delegated())
    told.ask("StopPump", derived_from=READ, **for_alice("agent"))
    assert any(isinstance(event, SafePermitted) for event in told.out)
