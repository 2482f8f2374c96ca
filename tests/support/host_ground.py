"""A site with one source, a broker in memory, a clock in the test's hand, and everybody's keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from plantops.events import Event, decode, subjects
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
    from_nanoseconds,
)
from plantops.events.command_parts import Decision, Observation, ObservedInput, Permit, Risk
from plantops.events.commands import CommandPermitted, GenerationRaised, SafePermitted, SimulationOrdered
from plantops.events.frames import decode_frame
from plantops.events.tags import ScanGroup, SourceDefined, TagDefinition, TagFrame
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.signing import Signer
from plantops.flow.streams import streams
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.model.assets import Argument, Asset, Model, Operation, Property, Step, Verify
from plantops.model.load import Plant
from plantops.policy.document import (
    POLICY_TYPE,
    SCHEMA,
    BypassClass,
    Compare,
    OperationRule,
    Permissive,
    Policy,
    Principal,
    Role,
    RootRole,
    TrustRoot,
)
from plantops.policy.in_force import InForce
from plantops.policy.judge import Request, decision_digest, judge
from plantops.policy.writes import plan_of
from support.manual_clock import START_NS, ManualClock

SITE = SiteName("demo")
SOURCE = SourceName("plc1")
ME = "adapter-plc1"
PUMP = AssetName("pump-001")
ALICE, BOB = PrincipalName("alice"), PrincipalName("bob")
RUN, SETPOINT, SPEED, TEMPERATURE = 0, 1, 2, 3

DEFINITION = SourceDefined(
    site=SITE,
    source=SOURCE,
    groups=(ScanGroup(name="all", period_ms=1000),),
    tags=(
        TagDefinition(name=TagName("run"), kind="b1", writable=True),
        TagDefinition(name=TagName("setpoint"), kind="f8", unit="rpm", writable=True),
        TagDefinition(name=TagName("speed"), kind="f8", unit="rpm"),
        TagDefinition(name=TagName("temperature"), kind="f8", unit="Cel"),
    ),
)
NAMES = tuple(tag.name for tag in DEFINITION.tags)


def _step(name: str, value: Scalar, verify: Verify | None = None) -> Step:
    return Step(property=name, value=value, verify=verify or Verify())


_RPM = {"RPM": Argument(type="number", unit="rpm", low=0, high=3000)}
_FEEDBACK = Verify(kind="feedback", property="speed", tolerance=5.0, settle_seconds=4.0)

MODEL = Model(
    assets={
        PUMP: Asset(
            properties={
                name: Property(tag=name, unit=DEFINITION.tags[n].unit) for n, name in enumerate(NAMES)
            },
            operations={
                "SetSpeed": Operation(
                    risk="low", arguments=_RPM, steps=(_step("setpoint", "$RPM"),), undo="restore"
                ),
                "Ramp": Operation(
                    risk="low", arguments=_RPM, steps=(_step("setpoint", "$RPM", _FEEDBACK),), undo="restore"
                ),
                "Start": Operation(
                    risk="low",
                    arguments=_RPM,
                    steps=(_step("setpoint", "$RPM"), _step("run", True)),
                    undo="operation:Stop",
                ),
                "Stop": Operation(risk="low", steps=(_step("run", False), _step("setpoint", 0.0))),
            },
        )
    }
)
PLANT = Plant.of(MODEL, [DEFINITION])


class Keys:
    """Signing keys of everybody who says something; `stranger` stands in no policy."""

    def __init__(self) -> None:
        self.root = SigningKey.generate()
        self.gate = SigningKey.generate()
        self.adapter = SigningKey.generate()
        self.stranger = SigningKey.generate()
        self.alice = SigningKey.generate()
        self.bob = SigningKey.generate()


def start() -> datetime:
    return from_nanoseconds(START_NS)


def policy(
    keys: Keys,
    *,
    revision: int = 1,
    previous: str = "",
    plant: Plant = PLANT,
    unsigned_risk: Risk | Literal[""] = "low",
) -> bytes:
    """A signed policy: alice may do everything, a hot pump is not sped up, Stop is safe."""
    document = Policy(
        schema=SCHEMA,
        id="demo-policy",
        audience=SITE,
        revision=revision,
        previous=Digest(previous),
        not_before=start() - timedelta(days=1),
        expires=start() + timedelta(days=36_500),
        model=plant.digest,
        principals={
            "gate": Principal(kind="process", keys=(keys.gate.public.to_base64(),), roles=("gate",)),
            ME: Principal(kind="process", keys=(keys.adapter.public.to_base64(),), roles=("executor",)),
            ALICE: Principal(
                kind="person", person="alice", roles=("operator",), keys=(keys.alice.public.to_base64(),)
            ),
            BOB: Principal(
                kind="person", person="bob", roles=("supervisor",), keys=(keys.bob.public.to_base64(),)
            ),
        },
        roles={"operator": Role(operations=("*",)), "supervisor": Role()},
        operations={
            f"{PUMP}.Stop": OperationRule(safe_direction=True, execute_seconds=30.0),
            "*.act-bypass": OperationRule(approval_roles=("supervisor",)),
        },
        permissives=(
            Permissive(
                id="cool",
                applies=tuple(f"{PUMP}.{name}" for name in ("SetSpeed", "Ramp", "Start", "Flush")),
                require=Compare(property=f"{PUMP}.temperature", op="<", value=90.0, unit="Cel"),
            ),
        ),
        bypass_classes={
            "maintenance": BypassClass(permissives=("cool",), roles=("operator",), max_seconds=3600.0)
        },
        unsigned_risk=unsigned_risk,
    )
    return dsse.encode(dsse.seal(POLICY_TYPE, msgspec.json.encode(document), keys.root))


class Ground:
    """The broker with all streams, the policy in force, and the gate's voice."""

    def __init__(self, plant: Plant = PLANT, *, unsigned_risk: Risk | Literal[""] = "low") -> None:
        self.plant = plant
        self.unsigned_risk = unsigned_risk
        self.clock = ManualClock()
        self.keys = Keys()
        self.broker = MemoryBroker(clock=self.clock.now_ns)
        for stream in streams():
            if stream.account == "PLANT":
                self.broker.add_stream(
                    stream.name, stream.subjects, max_per_subject=1 if stream.keeps_last else 0
                )
        self.broker.add_consumer(
            "COMMANDS",
            f"{ME}-normal",
            tuple(
                f"cmd.{SITE}.{verb}.gate.*"
                for verb in ("permitted", "simulation_ordered", "reconcile_ordered")
            ),
            kind="effect",
        )
        self.broker.add_consumer(
            "COMMANDS", f"{ME}-safe", (f"cmd.{SITE}.safe_permitted.gate.*",), kind="effect"
        )
        self.gate = Signer("gate", self.keys.gate)
        self.gate_bus = self.broker.bus("gate")
        self.signer = Signer(ME, self.keys.adapter)
        self.in_force = self.trust()
        self._serial = 0

    def trust(self) -> InForce:
        """A process's own view of the policy, with the first revision in force."""
        root = TrustRoot(
            site=SITE, version=1, policy=RootRole(keys=(self.keys.root.public.to_base64(),), threshold=1)
        )
        in_force = InForce(root, SITE)
        in_force.offer(policy(self.keys, plant=self.plant, unsigned_risk=self.unsigned_risk), start())
        return in_force

    def bus(self) -> MemoryBus:
        """A connection of the adapter."""
        return self.broker.bus(ME)

    def now(self) -> datetime:
        return from_nanoseconds(self.clock.now_ns())

    def decision(self, command: str, operation: str, arguments: dict[str, Scalar]) -> Decision:
        """The gate's judgement on a cool pump."""
        request = Request(
            command=CommandId(command),
            asset=PUMP,
            operation=OperationName(operation),
            arguments=arguments,
            actor=ALICE,
            signed=True,
            issued_at=self.now(),
            expires_at=self.now() + timedelta(seconds=60),
            model=self.plant.digest,
        )
        seen = ObservedInput(tag=TagName("temperature"), value=40.0, quality=192, age_seconds=0.1)
        observation = Observation(at=self.now(), inputs=(seen,))
        return judge(self.in_force.verified, self.plant, request, observation, self.now(), stage="request")

    def permit(
        self,
        decision: Decision,
        *,
        generation: int = 0,
        seconds: float = 15.0,
    ) -> Permit:
        """What the gate's own code would make of the decision."""
        plan = plan_of(self.plant, PUMP, decision.operation, decision.arguments)
        operation = self.plant.operation(PUMP, decision.operation)
        assert operation is not None
        return Permit(
            site=SITE,
            source=plan.source,
            command=decision.command,
            intent=Digest("0" * 64),
            asset=PUMP,
            operation=decision.operation,
            arguments=decision.arguments,
            actor=ALICE,
            generation=generation,
            writes=plan.writes,
            invocation=plan.invocation,
            compensates=operation.compensate == "restore",
            policy=decision.policy,
            model=decision.model,
            decision=decision_digest(decision),
            not_after=self.now() + timedelta(seconds=seconds),
            safe_direction=decision.safe_direction,
        )

    def order(
        self, operation: str, arguments: dict[str, Scalar] | None = None, *, generation: int = 0
    ) -> CommandPermitted | SafePermitted:
        """A permit for a new command, not said yet."""
        self._serial += 1
        decision = self.decision(f"command{self._serial}", operation, arguments or {})
        assert decision.allowed, decision.findings
        kind = SafePermitted if decision.safe_direction else CommandPermitted
        permit = self.permit(decision, generation=generation)
        return kind(site=SITE, command=decision.command, permit=permit, decision=decision)

    async def say(
        self,
        event: CommandPermitted | SafePermitted | SimulationOrdered | GenerationRaised,
        *,
        signer: Signer | None = None,
    ) -> CommandId:
        """Let the gate (or whoever holds the pen) publish it."""
        kind = event.__struct_config__.tag
        assert isinstance(kind, str)
        verb = kind.removeprefix("command.")
        subject = (
            subjects.generation(SITE, "gate", event.asset)
            if isinstance(event, GenerationRaised)
            else subjects.command(SITE, verb, "gate", event.command)
        )
        message = (signer or self.gate).message(
            subject, event, id=f"gate.{event.command}.{verb}", time=self.clock.now_ns()
        )
        await self.gate_bus.publish(message, stream="COMMANDS")
        return event.command

    async def raise_generation(self, generation: int, command: str = "stop") -> None:
        await self.say(
            GenerationRaised(site=SITE, command=CommandId(command), asset=PUMP, generation=generation)
        )

    def told(self, *kinds: type[Event], stream: str = "COMMANDS") -> list[Event]:
        """What stands on a stream of these types, in order."""
        events = [decode(stored.data) for stored in self.broker.stream(stream).messages.values()]
        return [event for event in events if isinstance(event, kinds)]

    def frames(self) -> list[TagFrame]:
        """All frames on TAGS."""
        return [decode_frame(stored.data) for stored in self.broker.stream("TAGS").messages.values()]


def sequences(frames: Iterable[TagFrame]) -> list[int]:
    return [frame.sequence for frame in frames]


def is_complete(delivered: Sequence[int], gaps: Iterable[tuple[int, int]], produced: int) -> bool:
    """Whether each of 1..produced was delivered once or lies in a gap, and none is both."""
    missing = [number for first, last in gaps for number in range(first, last + 1)]
    return sorted([*delivered, *missing]) == list(range(1, produced + 1))
