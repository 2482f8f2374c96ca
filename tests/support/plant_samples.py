"""One small plant with its policy, keys and inputs; each test changes what it is about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

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
    encode_json,
)
from plantops.events.command_parts import Decision, Observation, ObservedInput, Stage
from plantops.events.tags import ScanGroup, SourceDefined, TagDefinition
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.model.assets import Argument, Asset, Model, Operation, Property, Requirement, Step, Verify
from plantops.model.load import Plant
from plantops.policy.document import (
    POLICY_TYPE,
    SCHEMA,
    ArgumentLimit,
    Compare,
    OperationRule,
    Permissive,
    Policy,
    Principal,
    Role,
    RootRole,
    TrustRoot,
)
from plantops.policy.judge import Request, judge
from plantops.policy.verify import Verified

SITE = "demo"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def key(name: str) -> SigningKey:
    return SigningKey.from_seed(hashlib.sha256(name.encode()).digest())


def tag(name: str, kind: str = "f8", *, unit: str = "", writable: bool = False) -> TagDefinition:
    return msgspec.convert({"name": name, "kind": kind, "unit": unit, "writable": writable}, TagDefinition)


def source(name: str, *tags: TagDefinition) -> SourceDefined:
    return SourceDefined(
        site=SiteName(SITE),
        source=SourceName(name),
        groups=(ScanGroup(name="fast", period_ms=500),),
        tags=tags,
    )


DEFINITIONS = (
    source(
        "plc",
        tag("speed.set", unit="rpm", writable=True),
        tag("speed.actual", unit="rpm"),
        tag("run", "b1", writable=True),
        tag("remote", "b1"),
        tag("temperature", unit="Cel"),
        tag("recipe", "s", writable=True),
    ),
    source("scada", tag("level", unit="%"), tag("valve", "u8", writable=True)),
)

SPEED = Operation(
    risk="medium",
    arguments={"RPM": Argument(type="number", unit="rpm", low=0, high=3600)},
    steps=(
        Step(
            property="speed_set",
            value="$RPM",
            verify=Verify(kind="feedback", property="speed", tolerance=5, settle_seconds=3),
        ),
    ),
    requires=(Requirement(property="remote", equals=True, text="local/remote switch"),),
    undo="restore",
)

MODEL = Model(
    assets={
        "pump": Asset(
            properties={
                "speed_set": Property(tag=TagName("speed.set")),
                "speed": Property(tag=TagName("speed.actual")),
                "run": Property(tag=TagName("run")),
                "remote": Property(tag=TagName("remote")),
                "temperature": Property(tag=TagName("temperature"), unit="Cel"),
                "recipe": Property(tag=TagName("recipe")),
                "level": Property(tag=TagName("level")),
            },
            operations={
                "SetSpeed": SPEED,
                "Start": Operation(
                    risk="high", steps=(Step(property="run", value=True),), undo="operation:Stop"
                ),
                "Stop": Operation(risk="low", steps=(Step(property="run", value=False),)),
                "Brew": Operation(
                    arguments={"NAME": Argument(type="string", choices=("ale", "stout"))},
                    steps=(Step(property="recipe", value="$NAME"),),
                ),
            },
        )
    }
)
PLANT = Plant.of(MODEL, DEFINITIONS)

COOL = Permissive(
    id="cool",
    applies=("pump.SetSpeed", "pump.Start"),
    require=Compare(property="pump.temperature", op="<=", value=95, unit="Cel"),
    text="motor must be cool",
)

POLICY = Policy(
    schema=SCHEMA,
    id="demo-policy",
    audience=SITE,
    revision=3,
    previous=Digest("0" * 64),
    not_before=NOW - timedelta(days=1),
    expires=NOW + timedelta(days=1),
    model=PLANT.digest,
    principals={
        "alice": Principal(
            kind="person",
            person="Alice",
            roles=("operator",),
            keys=(key("alice").public.to_base64(),),
            logins=("UA",),
        ),
        "bob": Principal(
            kind="person", person="Bob", roles=("guest",), keys=(key("bob").public.to_base64(),)
        ),
        "robot": Principal(
            kind="agent", roles=("operator",), keys=(key("robot").public.to_base64(),), logins=("UR",)
        ),
        "watchdog": Principal(
            kind="process", roles=("operator",), keys=(key("watchdog").public.to_base64(),)
        ),
        "gate": Principal(kind="process", roles=("gate",), keys=(key("gate").public.to_base64(),)),
        "notary": Principal(kind="process", roles=("notary",), keys=(key("notary").public.to_base64(),)),
        "witness": Principal(kind="process", roles=("witness",), keys=(key("witness").public.to_base64(),)),
        "desk": Principal(kind="process", roles=("agent",), keys=(key("desk").public.to_base64(),)),
        "clock": Principal(kind="process", roles=("timer",), keys=(key("clock").public.to_base64(),)),
        "adapter-plc": Principal(kind="process", roles=("executor",), keys=(key("plc").public.to_base64(),)),
        "adapter-scada": Principal(
            kind="process", roles=("executor",), keys=(key("scada").public.to_base64(),)
        ),
    },
    roles={
        "operator": Role(operations=("pump.*",)),
        "guest": Role(operations=("*.Stop",)),
        "supervisor": Role(),
    },
    operations={
        "pump.SetSpeed": OperationRule(limits={"RPM": ArgumentLimit(high=3000, max_change=500)}),
        "*.Stop": OperationRule(safe_direction=True),
    },
    permissives=(COOL,),
    unsigned_risk="low",
)

ROOT_KEYS = tuple(key(f"root{number}") for number in range(3))
ROOT = TrustRoot(
    site=SITE,
    version=1,
    policy=RootRole(keys=tuple(each.public.to_base64() for each in ROOT_KEYS), threshold=2),
)


def signed(policy: Policy, *keys: SigningKey, kind: str = POLICY_TYPE) -> bytes:
    """The policy as it is published, by default under two of the three root keys."""
    return dsse.encode(dsse.seal(kind, encode_json(policy), *(keys or ROOT_KEYS[:2])))


def verified(policy: Policy = POLICY) -> Verified:
    """As after verification, whatever its time."""
    payload = encode_json(policy)
    return Verified(
        policy=policy, digest=Digest(hashlib.sha256(payload).hexdigest()), envelope=signed(policy)
    )


def seen(name: str, value: Scalar | None, *, quality: int = 192, age: float | None = 0.5) -> ObservedInput:
    return ObservedInput(tag=TagName(name), value=value, quality=quality, age_seconds=age)


GOOD = (seen("remote", True), seen("speed.set", 1000.0), seen("temperature", 60.0))


def observed(*changed: ObservedInput, without: Iterable[str] = ()) -> Observation:
    """What the gate would see when all is well, with some of it changed or left out."""
    inputs = {one.tag: one for one in (*GOOD, *changed)}
    for name in without:
        del inputs[TagName(name)]
    return Observation(at=NOW, inputs=tuple(inputs.values()))


def request(operation: str = "SetSpeed", **changed: object) -> Request:
    """Alice's own signed request."""
    fields: dict[str, object] = {
        "command": CommandId("c1"),
        "asset": AssetName("pump"),
        "operation": OperationName(operation),
        "arguments": {"RPM": 1200.0} if operation == "SetSpeed" else {},
        "actor": PrincipalName("alice"),
        "signed": True,
        "issued_at": NOW - timedelta(seconds=1),
        "expires_at": NOW + timedelta(seconds=60),
        "model": PLANT.digest,
    }
    return Request(**{**fields, **changed})  # type: ignore[arg-type]  # each test names real fields


def judged(
    asked: Request | None = None,
    *,
    policy: Policy | None = POLICY,
    seen: Observation | None = None,
    plant: Plant = PLANT,
    now: datetime = NOW,
    stage: Stage = "request",
) -> Decision:
    return judge(
        None if policy is None else verified(policy),
        plant,
        asked or request(),
        observed() if seen is None else seen,
        now,
        stage=stage,
    )


def verdicts(decision: Decision) -> dict[str, str]:
    return {finding.rule: finding.verdict for finding in decision.findings}


def with_policy(**changed: object) -> Policy:
    return msgspec.structs.replace(POLICY, **changed)
