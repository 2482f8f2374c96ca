"""Samples of acts and of what the gate says about the rules themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from plantops.events import Event
from plantops.events import governance as g
from plantops.events import operations as o
from plantops.events.base import (
    CommandId,
    Digest,
    OperationName,
    PrincipalName,
    SourceName,
    TagName,
    encode_json,
)
from plantops.events.circumstances import Bypass, Circumstances, LimitUse, LockOut
from plantops.events.command_parts import Decision, StepResult, command_id
from plantops.ledger import dsse
from plantops.policy.document import ROOT_TYPE, RootRole, TrustRoot, policy_digest
from plantops.schemas.sample_decisions import observed
from plantops.schemas.sample_plant import KEYS, NOW, PUMP, SITE, STOP, verified

_LATER: Final = NOW + timedelta(hours=4)
_ACT: Final = command_id("bob", "example-act")
_CAUSE: Final = command_id("alice", "example-SetSpeed")
_BOB: Final = PrincipalName("bob")
_PLC1: Final = SourceName("plc1")

LOCK: Final = LockOut(
    lock=_ACT,
    asset=PUMP,
    owner=_BOB,
    person=PrincipalName("Bob"),
    reason="seal is changed",
    since=NOW,
    lifting=(PrincipalName("Alice"),),
)
BYPASS: Final = Bypass(
    bypass=_ACT,
    asset=PUMP,
    permissive="cool",
    bypass_class="maintenance",
    owner=_BOB,
    reason="sensor is exchanged",
    measure="a person reads the thermometer every ten minutes",
    since=NOW,
    expires_at=_LATER,
)
CIRCUMSTANCES: Final = Circumstances(
    lockouts=(LOCK,),
    bypasses=(BYPASS,),
    uses=(LimitUse(limit="gentle", calls=2, concurrent=1, drift={"RPM": 300.0}),),
    unreconciled=(_CAUSE,),
)
_OTHER_ROOT: Final = TrustRoot(
    site=SITE,
    version=2,
    policy=RootRole(keys=(KEYS["bob"].public.to_base64(),), threshold=1),
    root=RootRole(keys=(KEYS["root"].public.to_base64(),), threshold=1),
    previous=Digest("5" * 64),
)


def root_published() -> o.RootPublished:
    """The second root, in an envelope that the first one's holder signed."""
    payload = dsse.seal(ROOT_TYPE, _root_payload(), KEYS["root"])
    return o.RootPublished(
        site=SITE,
        root_version=_OTHER_ROOT.version,
        digest=policy_digest(_root_payload()),
        envelope=dsse.encode(payload).decode(),
    )


def _root_payload() -> bytes:
    return encode_json(_OTHER_ROOT)


def gate_words(decision: Decision) -> Iterator[tuple[str, Event]]:
    """Verb and event, for all that the gate says of acts and rules; `decision` is why."""
    digest = verified().digest
    yield (
        "act_done",
        g.ActDone(site=SITE, command=_ACT, act="act-lock", text="pump-001 is locked out", decision=decision),
    )
    yield "lock_set", g.LockSet(site=SITE, command=_ACT, lock=LOCK)
    yield "lock_lift_asked", g.LockLiftAsked(site=SITE, command=_CAUSE, lock=_ACT, person=_BOB)
    yield (
        "lock_lifted",
        g.LockLifted(site=SITE, command=_CAUSE, lock=_ACT, asset=PUMP, persons=(PrincipalName("Bob"),)),
    )
    yield "bypass_granted", g.BypassGranted(site=SITE, command=_ACT, bypass=BYPASS)
    yield "bypass_ended", g.BypassEnded(site=SITE, command=_ACT, bypass=_ACT, reason="its time ran out")
    yield (
        "approval_withdrawn",
        g.ApprovalWithdrawn(site=SITE, command=_CAUSE, reason="the policy changed", approvers=(_BOB,)),
    )
    yield "approval_escalated", g.ApprovalEscalated(site=SITE, command=_CAUSE, roles=("plant_manager",))
    yield (
        "reconcile_ordered",
        g.ReconcileOrdered(
            site=SITE,
            command=_ACT,
            target=_CAUSE,
            source=_PLC1,
            tags=(TagName("plc1.setpoint"),),
            decision=decision,
        ),
    )
    yield (
        "fallback_ordered",
        g.FallbackOrdered(
            site=SITE,
            command=command_id("gate-fallback", _CAUSE),
            cause=_CAUSE,
            asset=PUMP,
            operation=OperationName(STOP),
            arguments={"HARD": True},
            actor=PrincipalName("agent"),
            on_behalf_of=(PrincipalName("alice"),),
        ),
    )
    yield from _rules(CommandId(digest[:24]), digest)


def _rules(command: CommandId, digest: Digest) -> Iterator[tuple[str, Event]]:
    yield (
        "policy_activated",
        g.PolicyActivated(
            site=SITE,
            command=command,
            policy_id="example-policy",
            revision=1,
            digest=digest,
            previous=Digest("4" * 64),
            moc="MOC-17",
        ),
    )
    yield (
        "policy_refused",
        g.PolicyRefused(
            site=SITE,
            command=command,
            reason="is older than revision 2 in force",
            sequence=4,
            digest=digest,
            revision=1,
        ),
    )
    root = policy_digest(_root_payload())
    yield (
        "root_rotated",
        g.RootRotated(site=SITE, command=CommandId(root[:24]), root_version=2, digest=root),
    )


def executor_words(step: StepResult) -> Iterator[tuple[str, Event]]:
    """Verb and event, for what an executor says on the way and afterwards."""
    yield (
        "progressed",
        g.CommandProgressed(site=SITE, command=_CAUSE, step=1, steps=2, result=step, text="1 of 2 written"),
    )
    yield (
        "reconciled",
        g.CommandReconciled(
            site=SITE,
            command=_CAUSE,
            by=_ACT,
            found=observed().inputs[:1],
            conclusion="not_written",
            text="plc1.setpoint reads as before",
        ),
    )
