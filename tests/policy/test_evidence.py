"""A permit is worth what persons signed behind it, whoever signed the permit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from plantops.events.base import CommandId, Digest, OperationName, PrincipalName
from plantops.events.command_parts import Intent, Permit
from plantops.policy.evidence import evidence_problem
from plantops.policy.keyring import Keyring
from plantops.schemas.sample_decisions import intent
from plantops.schemas.sample_plant import KEYS, NOW, PLANT, POLICY, PUMP, RESET, SET_SPEED, STOP
from support.permit_samples import SEEN, approval_of, permit_for, signed

KEYRING = Keyring(POLICY)


def confirmed(**changed: Any) -> Intent:
    words = intent(SET_SPEED, {"RPM": 1200.0})
    stated = {"confirms": CommandId("5" * 24), "simulation": SEEN, **changed}
    return msgspec.structs.replace(words, **stated)


RESET_WORDS = intent(RESET)
RESET_TEXT = signed(RESET_WORDS, KEYS["alice"])


def approval(by: str = "bob", **changed: Any) -> str:
    return approval_of(RESET_WORDS, RESET_TEXT, by, KEYS[by], **changed)


def problem(permit: Permit, now: datetime = NOW) -> str:
    return evidence_problem(permit, KEYRING, PLANT, now)


def test_what_was_signed_confirmed_and_approved_carries_its_permit() -> None:
    words = confirmed()
    assert problem(permit_for(words, signed(words, KEYS["alice"]))) == ""
    assert problem(permit_for(RESET_WORDS, RESET_TEXT, approval())) == ""


def test_a_stop_is_not_held_up_by_missing_signatures() -> None:
    stop = intent(STOP)
    assert problem(permit_for(stop, "", safe_direction=True)) == ""


Forge = Callable[[], Permit]


def _of(words: Intent, by: str = "alice", **changed: Any) -> Permit:
    return permit_for(words, signed(words, KEYS[by]), **changed)


FORGED: dict[str, tuple[Forge, str]] = {
    "nothing signed": (lambda: permit_for(confirmed(), ""), "nobody's signature"),
    "another key": (lambda: _of(confirmed(), "bob"), "not believed"),
    "a key of a process": (lambda: _of(confirmed(), "gate"), "not believed"),
    "other arguments": (lambda: _of(confirmed(), arguments={"RPM": 3000.0}), "other arguments"),
    "another type of argument": (lambda: _of(confirmed(), arguments={"RPM": 1200}), "other arguments"),
    "another operation": (lambda: _of(confirmed(), operation=OperationName("Other")), "another operation"),
    "another asset": (lambda: _of(confirmed(), asset="pump-002"), "another site, actor or asset"),
    "another actor": (lambda: _of(confirmed(), actor=PrincipalName("bob")), "another site, actor or asset"),
    "others behind it": (lambda: _of(confirmed(), on_behalf_of=(PrincipalName("bob"),)), "others behind it"),
    "another command": (lambda: _of(confirmed(), command=CommandId("1" * 24)), "another command"),
    "a life of years": (
        lambda: _of(confirmed(expires_at=NOW + timedelta(days=400))),
        "lives longer than the policy allows",
    ),
    "another digest": (lambda: _of(confirmed(), intent=Digest("0" * 64)), "another intent"),
    "only a simulation": (lambda: _of(confirmed(mode="simulate")), "simulation only"),
    "no confirmation": (lambda: _of(intent(SET_SPEED, {"RPM": 1200.0})), "confirming a simulation"),
    "a confirmation of nothing seen": (lambda: _of(confirmed(simulation=Digest(""))), "confirming"),
    "an undo of something else": (
        lambda: _of(confirmed(), undoes=CommandId("9" * 24)),
        "does not ask to undo",
    ),
    "an undo of another command": (
        lambda: _of(
            confirmed(operation=OperationName("act-undo"), arguments={"command": "1" * 24}),
            undoes=CommandId("9" * 24),
        ),
        "does not ask to undo",
    ),
    "an agent's confirmation": (
        lambda: _of(confirmed(actor=PrincipalName("agent")), "agent"),
        "confirmed by no agent",
    ),
    "no approval": (lambda: permit_for(RESET_WORDS, RESET_TEXT), "0 of 1 persons"),
    "own approval": (lambda: permit_for(RESET_WORDS, RESET_TEXT, approval("alice")), "cannot approve it"),
    "a rejection": (
        lambda: permit_for(RESET_WORDS, RESET_TEXT, approval(verdict="reject")),
        "is a rejection",
    ),
    "approval of other words": (
        lambda: permit_for(RESET_WORDS, RESET_TEXT, approval(intent=Digest("3" * 64))),
        "other words",
    ),
    "approval of another command": (
        lambda: permit_for(RESET_WORDS, RESET_TEXT, approval(command=CommandId("3" * 24))),
        "another command",
    ),
    "approval by an agent": (lambda: permit_for(RESET_WORDS, RESET_TEXT, approval("agent")), "not believed"),
    "approval that ran out": (
        lambda: permit_for(RESET_WORDS, RESET_TEXT, approval(expires_at=NOW - timedelta(hours=1))),
        "has run out",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_permit_of_a_stolen_gate_key_executes_nothing(name: str) -> None:
    forge, reason = FORGED[name]
    assert reason in problem(forge())


def test_an_old_intent_that_was_never_executed_serves_nobody_later() -> None:
    words = confirmed()
    permit = permit_for(words, signed(words, KEYS["alice"]))
    assert words.expires_at is not None
    span = timedelta(seconds=POLICY.clock_skew_seconds + 20.0)
    assert problem(permit, words.expires_at + span) == ""
    assert problem(permit, words.expires_at + span + timedelta(seconds=1)) == "the signed intent has run out"


def test_two_approvals_of_one_person_are_one() -> None:
    rule = msgspec.structs.replace(POLICY.operations[f"{PUMP}.{RESET}"], approvals=2)
    stricter = msgspec.structs.replace(POLICY, operations={**POLICY.operations, f"{PUMP}.{RESET}": rule})
    permit = permit_for(RESET_WORDS, RESET_TEXT, approval(), approval(nonce="01"))
    assert evidence_problem(permit, Keyring(stricter), PLANT, NOW) == "1 of 2 persons have approved it"


def test_unsigned_intents_go_as_far_as_the_policy_says() -> None:
    operation = msgspec.structs.replace(PLANT.model.assets[PUMP].operations[SET_SPEED], risk="low")
    assets = {PUMP: msgspec.structs.replace(PLANT.model.assets[PUMP], operations={SET_SPEED: operation})}
    gentle = type(PLANT).of(msgspec.structs.replace(PLANT.model, assets=assets), PLANT.definitions)
    permit = permit_for(intent(SET_SPEED, {"RPM": 1200.0}), "")
    assert evidence_problem(permit, KEYRING, gentle, NOW) == ""
    assert "nobody's signature" in problem(permit)
