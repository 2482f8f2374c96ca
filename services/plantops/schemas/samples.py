"""One sample of every event, with every field set: what `fixtures` records."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from msgspec import structs

from plantops.events import Event, subjects
from plantops.events import command_parts as parts
from plantops.events import commands as c
from plantops.events import operations as o
from plantops.events import sources as s
from plantops.events import tags as t
from plantops.events.base import (
    PrincipalName,
    Scalar,
    SourceName,
    TagName,
    encode_json,
)
from plantops.events.frames import Sample, pack
from plantops.events.governance import ReignBegan
from plantops.flow.checkpoints import key_name
from plantops.ledger import dsse
from plantops.ledger.checkpoint import Checkpoint, sign
from plantops.ledger.cosignature import cosign
from plantops.ledger.tree import leaf_hash
from plantops.policy.audit_keys import witness_name
from plantops.policy.document import policy_digest
from plantops.policy.judge import decision_digest
from plantops.schemas.sample_conversation import conversation
from plantops.schemas.sample_decisions import CASES, INTENT_DIGEST, SPEED, observed
from plantops.schemas.sample_governance import (
    BYPASS,
    CIRCUMSTANCES,
    executor_words,
    gate_words,
    root_published,
)
from plantops.schemas.sample_plant import (
    KEYS,
    LAYOUT,
    NOW,
    NOW_NS,
    ORIGIN,
    PLANT,
    PLC1,
    POLICY,
    POLICY_ENVELOPE,
    PUMP,
    SET_SPEED,
    SITE,
    verified,
)

_ADAPTER: Final = "adapter-plc1"
_SOURCE: Final = SourceName("plc1")
_LATER: Final = NOW + timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Said:
    """An event, who signs it, and the subject that carries it."""

    event: Event
    signer: str
    subject: str


_COMMAND: Final = parts.command_id(SPEED.actor, SPEED.key)
_DECISION: Final = CASES[0].decision()
_DECISION_DIGEST: Final = decision_digest(_DECISION)
_GOVERNED: Final = structs.replace(_DECISION, circumstances=CIRCUMSTANCES)
_ARGUMENTS: Final[dict[str, Scalar]] = {"RPM": 1200.0}
_WRITE: Final = parts.Write(
    tag=TagName("plc1.setpoint"),
    value=1200.0,
    verify="feedback",
    feedback=TagName("plc1.speed"),
    tolerance=10.0,
    settle_seconds=8.0,
)
_UNDO: Final = (parts.Write(tag=TagName("plc1.setpoint"), value=900.0),)
_STEP: Final = parts.StepResult(
    write=_WRITE,
    before=900.0,
    before_quality=192,
    written_at=NOW,
    read_back=1199.6,
    verified=True,
    problem="it took two reads",
)
_PERMIT: Final = parts.Permit(
    site=SITE,
    source=_SOURCE,
    command=_COMMAND,
    intent=INTENT_DIGEST,
    asset=PUMP,
    operation=SET_SPEED,
    arguments=_ARGUMENTS,
    actor=PrincipalName("agent"),
    generation=3,
    writes=(_WRITE,),
    policy=verified().digest,
    model=PLANT.digest,
    decision=_DECISION_DIGEST,
    not_after=_LATER,
    safe_direction=True,
    on_behalf_of=(PrincipalName("alice"),),
    bypasses=(BYPASS,),
    undoes=parts.command_id("alice", "earlier"),
    invocation=parts.Invocation(path="operations/Flush", arguments={"SECONDS": 30}, timeout_seconds=60.0),
    compensates=True,
    evidence="the signed intent, as it came",
    approvals=("a signed approval, as it came",),
    grants=(parts.Grant(bypass=BYPASS.bypass, intent="the signed act", approvals=("its approval",)),),
)
_APPROVAL: Final = parts.Approval(
    site=SITE,
    command=_COMMAND,
    person=PrincipalName("bob"),
    verdict="approve",
    intent=INTENT_DIGEST,
    decision=_DECISION_DIGEST,
    issued_at=NOW,
    expires_at=_LATER,
    nonce="8899aabbccddeeff00112233",
    reason="checked at the drive",
    by=PrincipalName("gateway"),
)


def samples() -> Iterator[Said]:
    """Every event type once, tag frames among them."""
    yield from _from_devices()
    yield from _from_the_door()
    yield from _from_the_gate()
    yield from _from_the_executor()
    yield from _from_the_machinery()


def frame() -> t.TagFrame:
    """A packed frame with a column of each kind, qualities and times of both forms."""
    values: tuple[tuple[int, Scalar | None, int, int], ...] = (
        (0, 900.5, 192, 0),
        (4, 61.5, 216, 1_000_000),
        (5, float("nan"), 64, 2_000_000),
        (1, True, 192, 0),
        (3, None, 24, 0),
        (6, 2**63 + 7, 192, 0),
        (7, -(2**53) - 1, 192, 0),
        (8, "läuft", 192, 0),
    )
    packed = [Sample(index, value, quality, NOW_NS - age) for index, value, quality, age in values]
    return pack(
        PLC1, LAYOUT, packed, epoch=7, sequence=41, observed_at=NOW_NS, confirms=(0, 1), historical=True
    )


def _from_devices() -> Iterator[Said]:
    tags = subjects.tag(SITE, _SOURCE)
    yield Said(frame(), _ADAPTER, tags)
    named = t.NamedFrame(
        source=_SOURCE,
        epoch=7,
        sequence=42,
        observed_at=str(NOW_NS),
        layout=LAYOUT,
        samples=[
            t.NamedSample(tag=TagName("plc1.speed"), value="NaN", quality=64, source_time=str(NOW_NS)),
            t.NamedSample(tag=TagName("plc1.starts"), value=str(2**63 + 7)),
            t.NamedSample(tag=TagName("plc1.run"), value=True),
            t.NamedSample(tag=TagName("plc1.local"), value=None, quality=24),
            t.NamedSample(tag=TagName("plc1.temperature"), value=61.5, source_time=1_772_352_000_123_456),
            t.NamedSample(tag=TagName("plc1.state"), value="running"),
        ],
        confirms=(0,),
        historical=True,
    )
    yield Said(named, _ADAPTER, tags)
    yield Said(PLC1, _ADAPTER, subjects.definition(SITE, _SOURCE, LAYOUT))
    states = {
        "lease": s.LeaseTaken(source=_SOURCE, epoch=7, owner="host-a", ttl_seconds=10.0, released=True),
        "up": s.SourceUp(source=_SOURCE, epoch=7, detail="unit 1"),
        "lost": s.SourceLost(source=_SOURCE, epoch=7, cause="no answer in 2 s"),
        "gap": s.GapRecorded(
            source=_SOURCE, epoch=7, first=43, last=45, frames=3, samples=120, cause="outbox_full"
        ),
    }
    for verb, event in states.items():
        yield Said(event, _ADAPTER, subjects.source(SITE, _SOURCE, verb))


def _from_the_door() -> Iterator[Said]:
    requested = c.CommandRequested(
        site=SITE,
        command=_COMMAND,
        intent=SPEED,
        digest=INTENT_DIGEST,
        login=SPEED.actor,
        signer=SPEED.actor,
        evidence=dsse.encode(dsse.seal(parts.INTENT_TYPE, encode_json(SPEED), KEYS["alice"])).decode(),
        received_at=NOW,
        observation=observed(),
    )
    yield Said(requested, "gate", subjects.intent(SITE, SPEED.actor, PUMP, SET_SPEED))
    received = c.ApprovalReceived(
        site=SITE,
        command=_COMMAND,
        approval=_APPROVAL,
        login=_APPROVAL.person,
        signer=_APPROVAL.person,
        evidence=dsse.encode(dsse.seal(parts.APPROVAL_TYPE, encode_json(_APPROVAL), KEYS["bob"])).decode(),
        received_at=NOW,
        observation=observed(),
    )
    yield Said(received, "gate", subjects.approval(SITE, _APPROVAL.person, _COMMAND))


def _simulated() -> c.CommandSimulated:
    return c.CommandSimulated(
        site=SITE,
        command=_COMMAND,
        before=observed().inputs,
        projected={"plc1.setpoint": 1200.0, "plc1.run": True},
        decision=_DECISION,
        result=_DECISION_DIGEST,
        next="confirm",
        expires_at=_LATER,
        simulated={"predictedState": "running at 1200 rpm", "estimatedTime": 2.4},
    )


def _wanted() -> c.ApprovalRequested:
    return c.ApprovalRequested(
        site=SITE,
        command=_COMMAND,
        intent=INTENT_DIGEST,
        decision=_DECISION_DIGEST,
        needed=2,
        roles=("supervisor",),
        expires_at=_LATER,
        asset=PUMP,
        operation=SET_SPEED,
        arguments=_ARGUMENTS,
        requester=SPEED.actor,
        escalates_at=NOW + timedelta(minutes=1),
    )


def _from_the_gate() -> Iterator[Said]:
    denied = CASES[2].decision()
    reason = next(finding.text for finding in denied.findings if finding.verdict != "true")
    bob = _APPROVAL.person
    for verb, event in {
        "denied": c.CommandDenied(site=SITE, command=_COMMAND, reason=reason, decision=denied),
        "simulation_ordered": c.SimulationOrdered(
            site=SITE, command=_COMMAND, permit=_PERMIT, decision=_DECISION
        ),
        "simulated": _simulated(),
        "approval_requested": _wanted(),
        "approval_accepted": c.ApprovalAccepted(
            site=SITE,
            command=_COMMAND,
            person=bob,
            given=1,
            needed=2,
            evidence="a signed approval, as it came",
        ),
        "approval_refused": c.ApprovalRefused(
            site=SITE, command=_COMMAND, person=SPEED.actor, reason="nobody approves his own request"
        ),
        "permitted": c.CommandPermitted(
            site=SITE,
            command=_COMMAND,
            permit=_PERMIT,
            decision=_DECISION,
            confirms=parts.command_id("alice", "simulated"),
        ),
        "safe_permitted": c.SafePermitted(site=SITE, command=_COMMAND, permit=_PERMIT, decision=_DECISION),
        "cancelled": c.CommandCancelled(
            site=SITE, command=_COMMAND, reason="overtaken by a stop", by=parts.command_id("bob", "stop")
        ),
        "expired": c.CommandExpired(site=SITE, command=_COMMAND, waiting_for="confirmation"),
    }.items():
        yield Said(event, "gate", subjects.command(SITE, verb, "gate", _COMMAND))
    for verb, word in gate_words(_GOVERNED):
        yield Said(word, "gate", subjects.command(SITE, verb, "gate", getattr(word, "command")))  # noqa: B009
    raised = c.GenerationRaised(site=SITE, command=_COMMAND, asset=PUMP, generation=4)
    yield Said(raised, "gate", subjects.generation(SITE, "gate", PUMP))
    began = ReignBegan(site=SITE, writer=PrincipalName("gate"), run="9f2c51d07ab34e6688c1d2f0")
    yield Said(began, "gate", subjects.reign(SITE, "gate"))


def _from_the_executor() -> Iterator[Said]:
    for verb, event in {
        "dry_run": c.DryRunDone(
            site=SITE,
            command=_COMMAND,
            ok=True,
            before=observed().inputs,
            encoded=("40001=1200",),
            observation=observed(),
            problem="slow answer",
            simulated={"predictedState": "running at 1200 rpm"},
        ),
        "claimed": c.CommandClaimed(
            site=SITE, command=_COMMAND, executor=_ADAPTER, epoch=7, decision=_DECISION_DIGEST
        ),
        "executed": c.CommandExecuted(
            site=SITE,
            command=_COMMAND,
            steps=(_STEP,),
            undo=_UNDO,
            window_ms=4.25,
            decision=_GOVERNED,
            outputs={"volume": 12.5},
        ),
        "failed": c.CommandFailed(
            site=SITE,
            command=_COMMAND,
            reason="the drive did not follow",
            written=True,
            steps=(_STEP,),
            undo=_UNDO,
            decision=_DECISION,
            compensation=(_STEP,),
            compensated=True,
        ),
        "outcome_unknown": c.OutcomeUnknown(
            site=SITE, command=_COMMAND, reason="the host died behind its claim", steps=(_STEP,)
        ),
    }.items():
        yield Said(event, _ADAPTER, subjects.command(SITE, verb, _ADAPTER, _COMMAND))
    for verb, word in executor_words(_STEP):
        yield Said(word, _ADAPTER, subjects.command(SITE, verb, _ADAPTER, getattr(word, "command")))  # noqa: B009


def _from_the_machinery() -> Iterator[Said]:
    published = o.PolicyPublished(
        site=SITE,
        revision=POLICY.revision,
        digest=policy_digest(dsse.decode(POLICY_ENVELOPE).body()),
        envelope=POLICY_ENVELOPE.decode(),
    )
    yield Said(published, "policy-office", subjects.policy(SITE))
    yield Said(root_published(), "policy-office", subjects.policy(SITE))
    fired = o.TimerFired(site=SITE, command=_COMMAND, due=NOW, purpose="confirmation")
    yield Said(fired, "timer", subjects.timer(SITE, "gate"))
    root = leaf_hash(b"example")
    note = sign(Checkpoint(ORIGIN, 1, root), KEYS["notary"], name=key_name(SITE)).decode()
    signed = o.CheckpointSigned(site=SITE, size=1, root=root.hex(), note=note, findings=2)
    yield Said(signed, "notary", subjects.checkpoint(SITE))
    refused = o.CheckpointRefused(
        site=SITE, kind="stream_gap", detail="positions 4 to 6 are missing", index=4, note=note
    )
    yield Said(refused, "notary", subjects.checkpoint(SITE))
    witness = witness_name(SITE, "witness")
    cosigned = o.CheckpointCosigned(
        site=SITE,
        witness=witness,
        size=1,
        root=root.hex(),
        note=cosign(note.encode(), witness, KEYS["witness"], int(NOW.timestamp())).decode(),
        at=NOW,
    )
    yield Said(cosigned, "witness", subjects.cosignature(SITE, "witness"))
    disputed = o.CheckpointDisputed(
        site=SITE,
        witness=witness,
        kind="shrunk",
        detail="AUDIT shrank from 7 to 1 records",
        size=7,
        root=root.hex(),
        note=note,
    )
    yield Said(disputed, "witness", subjects.dispute(SITE, "witness"))
    for event, subject in conversation():
        yield Said(event, "agent-host", subject)
    buried = o.MessageBuried(
        process="twin",
        stream="TAGS",
        sequence=17,
        subject=subjects.tag(SITE, _SOURCE),
        reason="FrameMalformed: not a tag frame",
        data=base64.b64encode(b"\x00").decode(),
    )
    yield Said(buried, "twin", subjects.dead("twin"))
