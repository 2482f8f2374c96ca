"""What a gateway's word for a person is worth, and what an agent proposes from what it has read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plantops.events.base import CommandId, PrincipalName
from plantops.events.command_parts import Intent, Permit
from plantops.ledger.keys import SigningKey
from plantops.policy.delegated import approval_problem, confirmation_problem, is_confirmed_first
from plantops.policy.document import Delegated, OperationRule, Policy, Principal, Role
from plantops.policy.evidence import evidence_problem
from plantops.policy.keyring import Keyring
from plantops.policy.rights import GATEWAY_ROLE
from plantops.policy.soundness import problems
from plantops.runtime.errors import UntrustedKey
from plantops.schemas.sample_decisions import intent
from plantops.schemas.sample_plant import KEYS, NOW, PLANT, POLICY, PUMP, RESET, SET_SPEED, STOP
from support.permit_samples import SEEN, approval_of, permit_for, signed

GATEWAY, ALICE, BOB = PrincipalName("gateway"), PrincipalName("alice"), PrincipalName("bob")
PORTAL = SigningKey.from_seed(b"the gateway of these tests".ljust(32, b"."))


def with_gateway(delegated: Delegated, **changed: Any) -> Policy:
    gateway = Principal(kind="agent", keys=(PORTAL.public.to_base64(),), roles=(GATEWAY_ROLE, "portal"))
    return msgspec.structs.replace(
        POLICY,
        principals={**POLICY.principals, GATEWAY: msgspec.structs.replace(gateway, **changed)},
        roles={**POLICY.roles, "portal": Role(operations=("*.*",))},
        delegated=delegated,
    )


NOTHING = with_gateway(Delegated())
HIGH = with_gateway(Delegated(confirm_risk="high", approve_risk="critical"))


def problem(policy: Policy, permit: Permit) -> str:
    return evidence_problem(permit, Keyring(policy), PLANT, NOW)


def confirming(actor: str, *chain: str) -> Intent:
    words = intent(SET_SPEED, {"RPM": 1200.0}, actor=actor, on_behalf_of=chain)
    return msgspec.structs.replace(words, confirms=CommandId("5" * 24), simulation=SEEN, derived_from=())


def test_a_gateway_confirms_nothing_unless_the_policy_says_up_to_which_risk() -> None:
    words = confirming(GATEWAY, ALICE)
    permit = permit_for(words, signed(words, PORTAL))
    assert "may confirm for a person up to risk (none)" in problem(NOTHING, permit)
    assert problem(HIGH, permit) == ""
    low = with_gateway(Delegated(confirm_risk="medium"))
    assert "up to risk medium, this is high" in problem(low, permit)


@pytest.mark.parametrize("chain", [(), ("gateway",), ("agent", "alice"), ("alice", "bob"), ("stranger",)])
def test_a_gateway_confirms_for_one_person_who_asked_it_himself(chain: tuple[str, ...]) -> None:
    assert confirmation_problem(HIGH, GATEWAY, chain, "high")


def test_no_agent_confirms_whatever_is_delegated_to_gateways() -> None:
    words = confirming("agent", "alice")
    assert "no agent or program" in problem(HIGH, permit_for(words, signed(words, KEYS["agent"])))


RESET_WORDS = intent(RESET)
RESET_TEXT = signed(RESET_WORDS, KEYS["alice"])


def approval(signing: SigningKey, *, person: str = BOB, **changed: Any) -> str:
    return approval_of(RESET_WORDS, RESET_TEXT, person, signing, **{"by": GATEWAY, **changed})


def reset(text: str) -> Permit:
    return permit_for(RESET_WORDS, RESET_TEXT, text)


def test_an_approval_of_the_gateway_counts_as_far_as_the_policy_says() -> None:
    assert problem(HIGH, reset(approval(PORTAL))) == ""
    assert "bob signs the approval himself" in problem(NOTHING, reset(approval(PORTAL)))


def test_who_asked_does_not_approve_through_the_gateway_either() -> None:
    # Alice has the role: only that she asked stands in the way.
    assert "asked for it" in problem(HIGH, reset(approval(PORTAL, person=ALICE)))


def test_only_a_gateway_signs_for_another() -> None:
    with pytest.raises(UntrustedKey):  # nobody signs in the gateway's name
        Keyring(HIGH).open_approval(approval(KEYS["alice"]).encode())
    with pytest.raises(UntrustedKey):  # what the gateway signs says so
        Keyring(HIGH).open_approval(approval(PORTAL, by=PrincipalName("")).encode())
    with pytest.raises(UntrustedKey, match="no gateway"):  # an agent is none
        Keyring(HIGH).open_approval(approval(KEYS["agent"], by=PrincipalName("agent")).encode())
    with pytest.raises(UntrustedKey, match="no person"):  # in the name of a program
        Keyring(HIGH).open_approval(approval(PORTAL, person=PrincipalName("agent")).encode())


def test_an_approval_in_a_name_that_is_no_person_s_does_not_count() -> None:
    assert approval_problem(HIGH, GATEWAY, "agent", "low")
    assert approval_problem(HIGH, "agent", BOB, "low")
    assert not approval_problem(HIGH, GATEWAY, BOB, "critical")


def test_what_an_agent_proposes_from_what_it_read_waits_for_a_person() -> None:
    """Injected text must not reach a device: below risk high nothing else would wait for anybody."""
    medium = msgspec.structs.replace(
        HIGH,
        operations={**HIGH.operations, f"{PUMP}.{SET_SPEED}": OperationRule(risk="medium")},
    )

    def is_first(actor: str, *derived: str) -> bool:
        rule = medium.operations[f"{PUMP}.{SET_SPEED}"]
        return is_confirmed_first(medium, rule, "medium", actor=actor, derived_from=derived)

    assert is_first("agent", "tag:plc1.speed@TAGS:41")
    assert is_first("stranger", "tag:plc1.speed@TAGS:41")
    assert not is_first("agent")
    assert not is_first("alice", "tag:plc1.speed@TAGS:41")


def test_a_permit_for_what_an_agent_read_is_refused_at_the_device_too() -> None:
    normal = msgspec.structs.replace(HIGH, operations={})  # here a stop is a normal operation of risk medium
    words = intent(STOP, actor="agent", on_behalf_of=("alice",))
    assert words.derived_from
    assert "confirming a simulation" in problem(normal, permit_for(words, signed(words, KEYS["agent"])))
    own = msgspec.structs.replace(words, derived_from=())
    assert problem(normal, permit_for(own, signed(own, KEYS["agent"]))) == ""


def test_the_role_of_a_gateway_is_for_programs_of_kind_agent_only() -> None:
    assert not problems(HIGH)
    for kind in ("person", "process"):
        wrong = with_gateway(Delegated(), kind=kind, person="G")
        assert any("only a program of kind agent" in each for each in problems(wrong))


def test_a_policy_that_delegates_nothing_has_the_bytes_it_had_before() -> None:
    assert b"delegated" not in msgspec.json.encode(POLICY)
    assert b"delegated" in msgspec.json.encode(HIGH)
