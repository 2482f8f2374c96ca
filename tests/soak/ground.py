"""The site of the soak: two pumps and a valve on two sources, its people, and policies of several kinds.

`Profile` says in plain numbers what a policy allows. The document for the code under test is made from it
here; the reference model reads the profile and never the document.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from plantops.events.base import AssetName, Digest, SiteName, SourceName, TagName
from plantops.events.tags import ScanGroup, SourceDefined, TagDefinition
from plantops.ledger import dsse
from plantops.model.assets import Argument, Asset, Model, Operation, Property, Requirement, Step
from plantops.model.load import Plant
from plantops.policy.document import (
    POLICY_TYPE,
    SCHEMA,
    ArgumentLimit,
    BypassClass,
    Compare,
    Limit,
    OperationRule,
    Permissive,
    Policy,
    Principal,
    Role,
    RootRole,
    TrustRoot,
)
from support.plant_samples import key

SITE: Final = SiteName("demo")
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
PUMPS: Final = ("pump-1", "pump-2")
VALVE: Final = "valve-1"
ASSETS: Final = (*PUMPS, VALVE)
SOURCES: Final = ("plc1", "opc1")
SOURCE_OF: Final = {"pump-1": "plc1", "pump-2": "plc1", VALVE: "opc1"}

# Login -> natural person. bob has two logins; ava is an agent and nobody; mallory stands in no policy.
PERSONS: Final = {
    "alice": "alice",
    "bob": "bob",
    "bob2": "bob",
    "carol": "carol",
    "dave": "dave",
    "erin": "erin",
}
AGENT: Final = "ava"
STRANGER: Final = "mallory"
EVERYBODY: Final = (*PERSONS, AGENT, STRANGER)


@dataclass(frozen=True)
class Profile:
    """What one kind of policy allows; spans in seconds."""

    name: str
    operators: frozenset[str] = frozenset({"alice", "dave", AGENT})
    supervisors: frozenset[str] = frozenset({"bob", "bob2", "carol", "dave"})
    maintainers: frozenset[str] = frozenset({"erin"})
    rpm_high: float = 3000.0
    max_change: float = 700.0
    hot: float = 90.0
    level_low: float = 20.0
    level_age: float = 8.0
    approvals: int = 2
    confirm: float = 60.0
    approval: float = 90.0
    escalate: float = 30.0
    execute: float = 15.0
    trims: int = 5
    trim_window: float = 60.0
    drift: float = 1200.0
    concurrent: int = 2
    bypass: float | None = 60.0
    unsigned: str = ""
    starts_in: float = -3600.0
    ends_in: float = 36_000.0


BASE: Final = Profile("base")
PROFILES: Final = {
    each.name: each
    for each in (
        BASE,
        Profile("tight", rpm_high=1500.0, max_change=300.0, hot=70.0, approvals=3, trims=2, drift=300.0),
        Profile("loose", rpm_high=3600.0, hot=120.0, approvals=1, trims=50, drift=9e9, unsigned="low"),
        Profile("no-alice", operators=frozenset({"dave"}), concurrent=1, trim_window=600.0),
        Profile("no-bypass", bypass=None, supervisors=frozenset({"carol", "dave"})),
        Profile("hasty", confirm=5.0, approval=10.0, escalate=4.0, execute=3.0, bypass=10.0),
        Profile("short", ends_in=20.0, level_age=2.0),
    )
}


def _tag(name: str, kind: str, *, unit: str = "", writable: bool = False) -> TagDefinition:
    return msgspec.convert({"name": name, "kind": kind, "unit": unit, "writable": writable}, TagDefinition)


def _source(name: str, *tags: TagDefinition) -> SourceDefined:
    groups = (ScanGroup(name="fast", period_ms=500),)
    return SourceDefined(site=SITE, source=SourceName(name), groups=groups, tags=tags)


def _pump_tags(asset: str) -> tuple[TagDefinition, ...]:
    return (
        _tag(f"{asset}.setpoint", "f8", unit="rpm", writable=True),
        _tag(f"{asset}.run", "b1", writable=True),
        _tag(f"{asset}.reset", "b1", writable=True),
        _tag(f"{asset}.local", "b1"),
        _tag(f"{asset}.temperature", "f8", unit="Cel"),
    )


DEFINITIONS: Final = {
    "plc1": _source("plc1", *_pump_tags("pump-1"), *_pump_tags("pump-2")),
    "opc1": _source(
        "opc1",
        _tag(f"{VALVE}.command", "f8", unit="%", writable=True),
        _tag(f"{VALVE}.level", "f8", unit="%"),
    ),
}
TAGS: Final = tuple(tag.name for source in SOURCES for tag in DEFINITIONS[source].tags)

_REMOTE: Final = (Requirement(property="local", equals=False),)
_RPM: Final = {"RPM": Argument(type="number", unit="rpm", low=0, high=3600)}


def _step(name: str, value: bool | float | str) -> Step:
    return Step(property=name, value=value)


def _pump(asset: str) -> Asset:
    def operation(risk: str, *steps: Step, **more: object) -> Operation:
        return Operation(risk=risk, steps=steps, **more)  # type: ignore[arg-type]  # names of its fields

    return Asset(
        properties={
            tag.name.split(".")[1]: Property(tag=tag.name, unit=tag.unit) for tag in _pump_tags(asset)
        },
        operations={
            "SetSpeed": operation(
                "high", _step("setpoint", "$RPM"), arguments=_RPM, requires=_REMOTE, undo="restore"
            ),
            "Trim": operation(
                "low", _step("setpoint", "$RPM"), arguments=_RPM, requires=_REMOTE, undo="restore"
            ),
            "Start": operation(
                "medium",
                _step("setpoint", 600.0),
                _step("run", True),
                requires=_REMOTE,
                compensate="restore",
            ),
            "Reset": operation("critical", _step("reset", True), requires=_REMOTE),
            "Stop": operation("low", _step("run", False), _step("setpoint", 0.0)),
        },
    )


MODEL: Final = Model(
    assets={
        **{AssetName(asset): _pump(asset) for asset in PUMPS},
        AssetName(VALVE): Asset(
            properties={
                "command": Property(tag=TagName(f"{VALVE}.command"), unit="%"),
                "level": Property(tag=TagName(f"{VALVE}.level"), unit="%"),
            },
            operations={
                "Open": Operation(
                    risk="low",
                    arguments={"PERCENT": Argument(type="number", unit="%", low=0, high=100)},
                    steps=(_step("command", "$PERCENT"),),
                    undo="restore",
                ),
                "Close": Operation(risk="low", steps=(_step("command", 0.0),)),
            },
        ),
    }
)
PLANT: Final = Plant.of(MODEL, DEFINITIONS.values())
ROOT: Final = TrustRoot(
    site=SITE, version=1, policy=RootRole(keys=(key("root").public.to_base64(),), threshold=1)
)


def _principal(kind: str, name: str, roles: tuple[str, ...], person: str = "") -> Principal:
    return Principal(
        kind=kind,  # type: ignore[arg-type]  # one of its three words
        person=person,
        keys=(key(name).public.to_base64(),),
        logins=(f"LOGIN-{name}",),
        roles=roles,
    )


def _principals(profile: Profile) -> dict[str, Principal]:
    def roles(name: str) -> tuple[str, ...]:
        held = (
            ("operator", profile.operators),
            ("supervisor", profile.supervisors),
            ("maintainer", profile.maintainers),
            ("chief", profile.maintainers),
        )
        return tuple(role for role, holders in held if name in holders)

    found = {name: _principal("person", name, roles(name), person) for name, person in PERSONS.items()}
    found[AGENT] = _principal("agent", AGENT, roles(AGENT))
    for name, role in (("gate", "gate"), ("timer", "timer")):
        found[name] = _principal("process", name, (role,))
    for source in SOURCES:
        found[f"adapter-{source}"] = _principal("process", f"adapter-{source}", ("executor",))
    return found


_ROLES: Final = {
    "operator": Role(
        operations=(
            *(f"{asset}.*" for asset in ASSETS),
            "*.act-lock",
            "*.act-unlock",
            "*.act-cancel",
            "*.act-undo",
            "*.act-reconcile",
        )
    ),
    "supervisor": Role(operations=("*.Stop", "*.Close", "*.act-lock", "*.act-unlock")),
    "maintainer": Role(operations=("*.act-bypass", "*.act-end-bypass", "*.act-unlock")),
    "chief": Role(),
}


def _operations(profile: Profile) -> dict[str, OperationRule]:
    plain = OperationRule(
        confirm_seconds=profile.confirm,
        approval_seconds=profile.approval,
        execute_seconds=profile.execute,
    )

    def rule(**more: object) -> OperationRule:
        return msgspec.structs.replace(plain, **more)

    bounds = ArgumentLimit(low=0.0, high=profile.rpm_high, max_change=profile.max_change)
    rules: dict[str, OperationRule] = {
        "*.Close": rule(safe_direction=True),
        "*.Stop": rule(safe_direction=True),
        "*.act-bypass": rule(approvals=1, approval_roles=("supervisor",)),
        f"{VALVE}.Open": rule(),
    }
    for pump in PUMPS:
        rules |= {
            f"{pump}.SetSpeed": rule(limits={"RPM": bounds}),
            f"{pump}.Trim": rule(limits={"RPM": ArgumentLimit(low=0.0, high=profile.rpm_high)}),
            f"{pump}.Start": rule(fallback="Stop"),
            f"{pump}.Reset": rule(
                approvals=profile.approvals,
                approval_roles=("supervisor",),
                escalate_seconds=profile.escalate,
                escalation_roles=("chief",),
            ),
        }
    return rules


def _permissives(profile: Profile) -> tuple[Permissive, ...]:
    cool = [
        Permissive(
            id=f"cool-{pump}",
            applies=tuple(f"{pump}.{name}" for name in ("SetSpeed", "Trim", "Start", "Reset")),
            require=Compare(property=f"{pump}.temperature", op="<=", value=profile.hot, unit="Cel"),
        )
        for pump in PUMPS
    ]
    fed = Permissive(
        id="fed",
        applies=tuple(f"{pump}.Start" for pump in PUMPS),
        require=Compare(
            property=f"{VALVE}.level",
            op=">=",
            value=profile.level_low,
            unit="%",
            max_age_seconds=profile.level_age,
        ),
    )
    calm = Permissive(
        id="calm",
        applies=(f"{VALVE}.Open",),
        require=Compare(property="pump-1.temperature", op="<", value=profile.hot, unit="Cel"),
    )
    return (*cool, fed, calm)


def document(profile: Profile, *, revision: int, previous: str, at: datetime, site: str = SITE) -> Policy:
    """The policy that says what the profile says, published at `at`."""
    classes: dict[str, BypassClass] = {}
    if profile.bypass is not None:
        names = tuple(f"cool-{pump}" for pump in PUMPS)
        classes["hot"] = BypassClass(permissives=names, roles=("maintainer",), max_seconds=profile.bypass)
    return Policy(
        schema=SCHEMA,
        id="soak",
        audience=site,
        revision=revision,
        previous=Digest(previous),
        not_before=at + timedelta(seconds=profile.starts_in),
        expires=at + timedelta(seconds=profile.ends_in),
        model=PLANT.digest,
        principals=_principals(profile),
        roles=_ROLES,
        operations=_operations(profile),
        permissives=_permissives(profile),
        limits=(
            Limit(
                id="trims",
                applies=tuple(f"{pump}.Trim" for pump in PUMPS),
                window_seconds=profile.trim_window,
                calls=profile.trims,
                drift={"RPM": profile.drift},
            ),
            Limit(id="hands", applies=("*",), per="site", concurrent=profile.concurrent),
        ),
        bypass_classes=classes,
        unsigned_risk=profile.unsigned,  # type: ignore[arg-type]  # one of its words
    )


def sealed(policy: Policy, *signers: str) -> str:
    """The envelope, signed by these."""
    return dsse.encode(dsse.seal(POLICY_TYPE, msgspec.json.encode(policy), *map(key, signers))).decode()


def varied(profile: Profile, **changed: object) -> Profile:
    """The same with other numbers."""
    return replace(profile, **changed)  # type: ignore[arg-type]  # names of its fields
