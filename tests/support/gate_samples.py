"""A demo plant behind a gate, and a story that is told to it fact by fact."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from plantops.events import Event
from plantops.events.base import (
    AssetName,
    CommandId,
    Digest,
    OperationName,
    PrincipalName,
    Scalar,
    SiteName,
    SourceName,
    TagName,
    to_nanoseconds,
)
from plantops.events.command_parts import Approval, Decision, Intent, Observation, ObservedInput, command_id
from plantops.events.commands import (
    ApprovalReceived,
    ApprovalRequested,
    CommandClaimed,
    CommandDenied,
    CommandExecuted,
    CommandRequested,
    DryRunDone,
    SimulationOrdered,
)
from plantops.events.operations import PolicyPublished, TimerFired
from plantops.events.tags import ScanGroup, SourceDefined, TagDefinition
from plantops.flow.processor import Fact, Recorded
from plantops.flow.step import step
from plantops.gate.core import Gate
from plantops.gate.state import GateState
from plantops.gate.unchanged import written_tags
from plantops.ledger import dsse
from plantops.model.assets import Argument, Asset, Model, Operation, Property, Requirement, Step
from plantops.model.load import Plant
from plantops.policy.document import (
    POLICY_TYPE,
    SCHEMA,
    Compare,
    OperationRule,
    Permissive,
    Policy,
    Principal,
    Role,
    RootRole,
    TrustRoot,
    policy_digest,
)
from support.plant_samples import NOW, key

SITE = SiteName("demo")
PUMP, VALVE = AssetName("pump-001"), AssetName("valve-001")

E = TypeVar("E", bound=Event)


def tag(name: str, kind: str, *, unit: str = "", writable: bool = False) -> TagDefinition:
    return msgspec.convert({"name": name, "kind": kind, "unit": unit, "writable": writable}, TagDefinition)


def source(name: str, *tags: TagDefinition) -> SourceDefined:
    groups = (ScanGroup(name="fast", period_ms=500),)
    return SourceDefined(site=SITE, source=SourceName(name), groups=groups, tags=tags)


PLC1 = source(
    "plc1",
    tag("plc1.setpoint", "f8", unit="rpm", writable=True),
    tag("plc1.run", "b1", writable=True),
    tag("plc1.reset", "b1", writable=True),
    tag("plc1.local", "b1"),
    tag("plc1.temperature", "f8", unit="Cel"),
    tag("plc1.name", "s"),
)
OPC1 = source("opc1", tag("opc1.command", "f8", unit="%", writable=True))

_REMOTE = (Requirement(property="local", equals=False, text="the switch stands at remote"),)
MODEL = Model(
    assets={
        PUMP: Asset(
            properties={
                "setpoint": Property(tag=TagName("plc1.setpoint")),
                "run": Property(tag=TagName("plc1.run")),
                "reset": Property(tag=TagName("plc1.reset")),
                "local": Property(tag=TagName("plc1.local")),
                "temperature": Property(tag=TagName("plc1.temperature"), unit="Cel"),
            },
            operations={
                "SetSpeed": Operation(
                    risk="high",
                    arguments={"RPM": Argument(type="number", unit="rpm", low=0, high=3600)},
                    steps=(Step(property="setpoint", value="$RPM"),),
                    requires=_REMOTE,
                ),
                "StartPump": Operation(risk="high", steps=(Step(property="run", value=True),)),
                "StopPump": Operation(risk="medium", steps=(Step(property="run", value=False),)),
                "ResetFault": Operation(
                    risk="critical", steps=(Step(property="reset", value=True),), requires=_REMOTE
                ),
            },
        ),
        VALVE: Asset(
            properties={"command": Property(tag=TagName("opc1.command"), unit="%")},
            operations={
                "SetPosition": Operation(
                    risk="medium",
                    arguments={"PERCENT": Argument(type="number", unit="%", low=0, high=100)},
                    steps=(Step(property="command", value="$PERCENT"),),
                ),
                "Mark": Operation(risk="low", steps=(Step(property="command", value=1.0),)),
                "CloseValve": Operation(risk="low", steps=(Step(property="command", value=0.0),)),
            },
        ),
    }
)
PLANT = Plant.of(MODEL, (PLC1, OPC1))


def person(name: str, who: str, *roles: str) -> Principal:
    return Principal(
        kind="person",
        person=who,
        roles=roles,
        keys=(key(name).public.to_base64(),),
        logins=(f"LOGIN-{name}",),
    )


def process(name: str, role: str) -> Principal:
    return Principal(kind="process", roles=(role,), keys=(key(name).public.to_base64(),))


POLICY = Policy(
    schema=SCHEMA,
    id="demo-policy",
    audience=SITE,
    revision=1,
    previous=Digest(""),
    not_before=NOW - timedelta(days=1),
    expires=NOW + timedelta(days=1),
    model=PLANT.digest,
    principals={
        "alice": person("alice", "Alice", "operator", "supervisor"),
        "alice2": person("alice2", "Alice", "operator", "supervisor"),
        "bob": person("bob", "Bob", "operator", "supervisor"),
        "carol": person("carol", "Carol", "supervisor"),
        "dave": person("dave", "Dave", "operator"),
        "agent": Principal(
            kind="agent",
            roles=("operator",),
            keys=(key("agent").public.to_base64(),),
            logins=("LOGIN-agent",),
        ),
        "gate": process("gate", "gate"),
        "timer": process("timer", "timer"),
        "adapter-plc1": process("adapter-plc1", "executor"),
        "adapter-opc1": process("adapter-opc1", "executor"),
    },
    roles={"operator": Role(operations=("pump-001.*", "valve-001.*")), "supervisor": Role()},
    operations={
        "pump-001.StopPump": OperationRule(safe_direction=True),
        "valve-001.CloseValve": OperationRule(safe_direction=True),
        "pump-001.ResetFault": OperationRule(approvals=2, approval_roles=("supervisor",)),
    },
    permissives=(
        Permissive(
            id="cool",
            applies=("pump-001.SetSpeed", "pump-001.StartPump", "pump-001.ResetFault"),
            require=Compare(property="pump-001.temperature", op="<=", value=95.0, unit="Cel"),
        ),
    ),
    unsigned_risk="medium",
)
ROOT = TrustRoot(site=SITE, version=1, policy=RootRole(keys=(key("root").public.to_base64(),), threshold=1))


def envelope(policy: Policy, signer: str = "root") -> str:
    return dsse.encode(dsse.seal(POLICY_TYPE, msgspec.json.encode(policy), key(signer))).decode()


def after(policy: Policy, **changed: object) -> Policy:
    """The next revision."""
    digest = policy_digest(msgspec.json.encode(policy))
    return msgspec.structs.replace(policy, revision=policy.revision + 1, previous=digest, **changed)


def seen(name: str, value: Scalar | None, *, quality: int = 192, age: float | None = 0.2) -> ObservedInput:
    return ObservedInput(tag=TagName(name), value=value, quality=quality, age_seconds=age)


WELL = (seen("plc1.local", False), seen("plc1.temperature", 60.0))
STANDING = (
    seen("plc1.setpoint", 900.0),
    seen("plc1.run", False),
    seen("plc1.reset", False),
    seen("opc1.command", 20.0),
)


def well(*changed: ObservedInput, at: datetime) -> Observation:
    inputs = {one.tag: one for one in (*WELL, *STANDING, *changed)}
    return Observation(at=at, inputs=tuple(inputs.values()))


class Story:
    """Tells facts to a gate as the shell would, and keeps them. `out` is what the last fact led to."""

    def __init__(self, *, policy: Policy | None = POLICY, plant: Plant = PLANT) -> None:
        self.gate = Gate(SITE, plant, ROOT)
        self.state: GateState = self.gate.initial()
        self.history: list[Recorded] = []
        self.own: list[Recorded] = []
        self.out: list[Event] = []
        self.now = NOW
        self._sequences: dict[str, int] = {}
        if policy is not None:
            self.publish(policy)

    def tell(self, stream: str, subject: str, fact: Fact, signer: str = "") -> list[Event]:
        sequence = self._sequences[stream] = self._sequences.get(stream, 0) + 1
        recorded = Recorded(
            stream, sequence, subject, to_nanoseconds(self.now), fact, signer, f"{stream}.{sequence}"
        )
        self.history.append(recorded)
        self.state, own = step(self.gate, self.state, recorded)
        self.own += own
        self.out = [each.fact for each in own if isinstance(each.fact, Event)]
        return self.out

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def publish(self, policy: Policy, *, signer: str = "root") -> Policy:
        event = PolicyPublished(
            site=SITE, revision=policy.revision, digest=Digest("x"), envelope=envelope(policy, signer)
        )
        self.tell("POLICY", f"policy.{SITE}", event)
        return policy

    def ask(
        self,
        operation: str,
        arguments: dict[str, Scalar] | None = None,
        *,
        asset: AssetName = PUMP,
        actor: str = "alice",
        observation: Observation | None = None,
        blind: bool = False,
        signed: bool = True,
        key: str = "",
        evidence: str = "",
        **changed: object,
    ) -> CommandId:
        """An intent as the door would store it; gives the command's identity. A confirmation names the
        result that was simulated, unless it says another."""
        confirmed = self.state.courses.get(CommandId(str(changed.get("confirms", ""))))
        if confirmed is not None and confirmed.simulated is not None:
            changed = {"simulation": confirmed.simulated.result, **changed}
        key = key or f"k{len(self.history)}"
        fields: dict[str, object] = {
            "site": SITE,
            "asset": asset,
            "operation": OperationName(operation),
            "arguments": arguments or {},
            "actor": PrincipalName(actor),
            "key": key,
            "nonce": key,
            "issued_at": self.now,
            "expires_at": self.now + timedelta(hours=1),
            "model": self.gate.plant.digest,
        }
        intent = Intent(**{**fields, **changed})  # type: ignore[arg-type]  # each test names real fields
        command = command_id(actor, key)
        event = CommandRequested(
            site=SITE,
            command=command,
            intent=intent,
            digest=Digest(hashlib.sha256(repr(intent).encode()).hexdigest()),
            login=PrincipalName(actor),
            signer=actor if signed else "",
            evidence=evidence,
            received_at=self.now,
            observation=None if blind else observation or well(at=self.now),
        )
        self.tell("INTENTS", f"intent.{SITE}.{actor}.{asset}.{operation}", event, "gate")
        return command

    def dry_run(
        self,
        command: CommandId,
        *changed: ObservedInput,
        ok: bool = True,
        by: str = "adapter-plc1",
        problem: str = "",
        **told: object,
    ) -> list[Event]:
        asked = self.state.asked.get(command)
        written = written_tags(self.gate.plant, asked.intent) if asked else ()
        fields: dict[str, object] = {
            "before": tuple(one for one in STANDING if one.tag in written),
            "encoded": ("40001=1200",),
            "observation": well(*changed, at=self.now),
        }
        event = DryRunDone(site=SITE, command=command, ok=ok, problem=problem, **{**fields, **told})  # type: ignore[arg-type]
        return self.tell("COMMANDS", f"cmd.{SITE}.dry_run.{by}.{command}", event, by)

    def simulated(self, operation: str = "SetSpeed", rpm: float = 1200.0, **asked: object) -> CommandId:
        """A HIGH command that waits for its confirmation."""
        arguments: dict[str, Scalar] = {"RPM": rpm} if operation == "SetSpeed" else {}
        command = self.ask(operation, arguments, **asked)  # type: ignore[arg-type]
        self.only(SimulationOrdered)
        self.dry_run(command)
        return command

    def waiting(self, **asked: object) -> ApprovalRequested:
        """A CRITICAL command that waits for approvals."""
        command = self.ask("ResetFault", **asked)  # type: ignore[arg-type]
        self.dry_run(command)
        return self.one(ApprovalRequested)

    def approve(
        self,
        wanted: ApprovalRequested,
        person: str,
        *,
        signer: str = "",
        observation: Observation | None = None,
        evidence: str = "",
        **changed: object,
    ) -> list[Event]:
        fields: dict[str, object] = {
            "site": SITE,
            "command": wanted.command,
            "person": PrincipalName(person),
            "verdict": "approve",
            "intent": wanted.intent,
            "decision": wanted.decision,
            "issued_at": self.now,
            "expires_at": self.now + timedelta(minutes=5),
            "nonce": "n",
        }
        event = ApprovalReceived(
            site=SITE,
            command=wanted.command,
            approval=Approval(**{**fields, **changed}),  # type: ignore[arg-type]
            login=PrincipalName(person),
            signer=signer or person,
            evidence=evidence,
            received_at=self.now,
            observation=observation or well(at=self.now),
        )
        return self.tell("APPROVALS", f"approval.{SITE}.{person}.{wanted.command}", event, "gate")

    def claim(self, command: CommandId, by: str = "adapter-plc1") -> list[Event]:
        event = CommandClaimed(site=SITE, command=command, executor=by, epoch=1, decision=Digest(""))
        return self.tell("COMMANDS", f"cmd.{SITE}.claimed.{by}.{command}", event, by)

    def execute(
        self, command: CommandId, decision: Decision, by: str = "adapter-plc1", **told: dict[str, Scalar]
    ) -> list[Event]:
        event = CommandExecuted(SITE, command, (), (), 1.0, decision, **told)
        return self.tell("COMMANDS", f"cmd.{SITE}.executed.{by}.{command}", event, by)

    def fire(self, command: CommandId, purpose: str) -> list[Event]:
        event = TimerFired(site=SITE, command=command, due=self.now, purpose=purpose)  # type: ignore[arg-type]
        return self.tell("TIMERS", f"timer.{SITE}.gate", event, "timer")

    def one(self, kind: type[E]) -> E:
        """The one answer of this kind."""
        found = [event for event in self.out if isinstance(event, kind)]
        assert len(found) == 1, self.out
        return found[0]

    def only(self, kind: type[E]) -> E:
        """The last fact led to this and nothing else."""
        assert len(self.out) == 1, self.out
        return self.one(kind)

    def denied(self, text: str) -> CommandDenied:
        """The last fact led to a denial that says so."""
        event = self.only(CommandDenied)
        assert text in event.reason, event.reason
        return event
