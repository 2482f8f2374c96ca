"""A small plant with fixed keys, times and policy, of which samples and vectors are made.

The keys are published with the vectors: they sign examples and nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from plantops.events.base import AssetName, Digest, OperationName, SiteName, SourceName, TagName
from plantops.events.tags import Range, ScanGroup, SourceDefined, TagDefinition, layout_of
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.model.assets import Argument, Asset, Model, Operation, Property, Requirement, Step, Verify
from plantops.model.load import Plant
from plantops.policy.document import (
    POLICY_TYPE,
    SCHEMA,
    ArgumentLimit,
    Compare,
    Either,
    Every,
    Negate,
    OperationRule,
    Permissive,
    Policy,
    Principal,
    Role,
    RootRole,
    TrustRoot,
)
from plantops.policy.verify import Verified, verify_policy

SITE: Final = SiteName("demo")
NOW: Final = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
NOW_NS: Final = int(NOW.timestamp()) * 1_000_000_000 + 123_456_789
PUMP: Final = AssetName("pump-001")
SET_SPEED: Final = OperationName("SetSpeed")
STOP: Final = OperationName("StopPump")
RESET: Final = OperationName("ResetFault")

ORIGIN: Final = f"plantops/{SITE}/00112233445566778899aabbccddeeff"
"""The name of the sample audit log; its notary signs as `plantops/demo`."""

_PEOPLE: Final = ("root", "alice", "bob", "agent")
_PROCESSES: Final = (
    "gate",
    "timer",
    "notary",
    "witness",
    "agent-host",
    "twin",
    "policy-office",
    "adapter-plc1",
)
SEEDS: Final = {name: f"plantops example {name}".encode().ljust(32, b".") for name in (*_PEOPLE, *_PROCESSES)}
KEYS: Final = {name: SigningKey.from_seed(seed) for name, seed in SEEDS.items()}

PLC1: Final = SourceDefined(
    site=SITE,
    source=SourceName("plc1"),
    groups=(ScanGroup(name="fast", period_ms=500), ScanGroup(name="slow", period_ms=5000)),
    tags=(
        TagDefinition(
            name=TagName("plc1.setpoint"),
            kind="f8",
            address="holding:0:f4",
            unit="rpm",
            description="speed that the drive shall reach",
            writable=True,
            raw=Range(low=0.0, high=27648.0),
            engineering=Range(low=0.0, high=3600.0),
            clamp=True,
            limits={"high": 3300.0, "high_high": 3500.0},
            deadband=0.5,
            area="hall-1",
            alarm_priority=2,
            alarm_class="process",
            operator_position="control room",
        ),
        TagDefinition(name=TagName("plc1.run"), kind="b1", writable=True),
        TagDefinition(name=TagName("plc1.reset"), kind="b1", writable=True),
        TagDefinition(name=TagName("plc1.local"), kind="b1"),
        TagDefinition(name=TagName("plc1.temperature"), kind="f8", unit="Cel"),
        TagDefinition(name=TagName("plc1.speed"), kind="f8", unit="rpm"),
        TagDefinition(name=TagName("plc1.starts"), kind="u8", group=1),
        TagDefinition(name=TagName("plc1.balance"), kind="i8", group=1),
        TagDefinition(name=TagName("plc1.state"), kind="s", group=1, texts={"0": "stopped", "1": "running"}),
    ),
)
LAYOUT: Final = layout_of(PLC1)

_REMOTE: Final = (Requirement(property="local", equals=False, text="the switch stands at remote"),)
MODEL: Final = Model(
    assets={
        PUMP: Asset(
            description="feed pump",
            properties={
                name: Property(tag=TagName(f"plc1.{name}"))
                for name in ("setpoint", "run", "reset", "local", "temperature", "speed")
            },
            operations={
                SET_SPEED: Operation(
                    risk="high",
                    arguments={"RPM": Argument(type="number", unit="rpm", low=0.0, high=3600.0)},
                    steps=(
                        Step(
                            property="setpoint",
                            value="$RPM",
                            verify=Verify(
                                kind="feedback", property="speed", tolerance=10.0, settle_seconds=8.0
                            ),
                        ),
                    ),
                    requires=_REMOTE,
                    undo="restore",
                ),
                STOP: Operation(risk="medium", steps=(Step(property="run", value=False),)),
                RESET: Operation(
                    risk="critical", steps=(Step(property="reset", value=True),), requires=_REMOTE
                ),
            },
        )
    }
)
PLANT: Final = Plant.of(MODEL, (PLC1,))


def _key(name: str) -> tuple[str, ...]:
    return (KEYS[name].public.to_base64(),)


def _process(name: str, role: str) -> Principal:
    return Principal(kind="process", roles=(role,), keys=_key(name))


def _person(name: str, *roles: str) -> Principal:
    return Principal(kind="person", person=name.title(), roles=roles, keys=_key(name))


POLICY: Final = Policy(
    schema=SCHEMA,
    id="example-policy",
    audience=SITE,
    revision=1,
    previous=Digest(""),
    not_before=NOW - timedelta(days=1),
    expires=NOW + timedelta(days=90),
    model=PLANT.digest,
    moc="MOC-17",
    principals={
        "alice": _person("alice", "operator", "supervisor"),
        "bob": _person("bob", "supervisor"),
        "agent": Principal(kind="agent", person="Alice", roles=("operator",), keys=_key("agent")),
        "gate": _process("gate", "gate"),
        "timer": _process("timer", "timer"),
        "notary": _process("notary", "notary"),
        "witness": _process("witness", "witness"),
        "agent-host": _process("agent-host", "agent"),
        "adapter-plc1": _process("adapter-plc1", "executor"),
    },
    roles={"operator": Role(operations=(f"{PUMP}.*",)), "supervisor": Role()},
    operations={
        f"{PUMP}.{SET_SPEED}": OperationRule(
            limits={"RPM": ArgumentLimit(high=3000.0, max_change=1500.0)}, execute_seconds=20.0
        ),
        f"{PUMP}.{STOP}": OperationRule(safe_direction=True),
        f"{PUMP}.{RESET}": OperationRule(approvals=1, approval_roles=("supervisor",)),
    },
    permissives=(
        Permissive(
            id="cool",
            applies=(f"{PUMP}.{SET_SPEED}", f"{PUMP}.{RESET}"),
            require=Compare(property=f"{PUMP}.temperature", op="<=", value=95.0),
            text="the motor is cool",
        ),
        Permissive(
            id="standing",
            applies=(f"{PUMP}.{RESET}",),
            require=Every(
                of=(
                    Negate(of=Compare(property=f"{PUMP}.run", op="==", value=True, max_age_seconds=2.0)),
                    Either(
                        of=(
                            Compare(property=f"{PUMP}.speed", op="<=", value=100.0),
                            Compare(property=f"{PUMP}.setpoint", op="==", value=0.0, quality="uncertain"),
                        )
                    ),
                )
            ),
        ),
    ),
    unsigned_risk="low",
)
ROOT: Final = TrustRoot(site=SITE, version=1, policy=RootRole(keys=_key("root"), threshold=1))
POLICY_ENVELOPE: Final = dsse.encode(dsse.seal(POLICY_TYPE, msgspec.json.encode(POLICY), KEYS["root"]))


def verified() -> Verified:
    """The sample policy as a process holds it."""
    return verify_policy(POLICY_ENVELOPE, ROOT, site=SITE, now=NOW, in_force=None)
