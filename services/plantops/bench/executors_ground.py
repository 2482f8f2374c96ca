"""One source that several executors serve at once: its policy, broker and device, and the gate's voice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from plantops.adapters.contract import GroupSettings, SourceSettings, TagSettings
from plantops.adapters.definition import definition_of
from plantops.adapters.host.process import process_name, spec
from plantops.adapters.registry import adapter
from plantops.deployment.supervisor import free_port
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
)
from plantops.events.command_parts import Observation, Permit
from plantops.events.commands import CommandPermitted
from plantops.flow import accounts
from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.provision import provision
from plantops.flow.server import EmbeddedServer
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.model.assets import Argument, Asset, Model, Operation, Property, Step, Verify
from plantops.model.load import Plant
from plantops.policy.document import (
    POLICY_TYPE,
    SCHEMA,
    OperationRule,
    Policy,
    Principal,
    Role,
    RootRole,
    TrustRoot,
)
from plantops.policy.in_force import InForce
from plantops.policy.judge import Request, decision_digest, judge
from plantops.policy.writes import plan_of
from plantops.runtime.errors import IntegrityError
from plantops.runtime.nkey import NKey
from plantops.simulation import plant as simulated
from plantops.simulation.state import Command

SITE, SOURCE = SiteName("race"), SourceName("plc1")
ASSET, OPERATION = AssetName("pump-001"), OperationName("SetSpeed")
ALICE = PrincipalName("alice")
# A permit outlasts the race: who comes late is refused by the claim and not by the time.
EXECUTE_SECONDS = 600.0
CHOSEN = adapter("modbus")
DEFINITION = definition_of(
    SITE,
    SOURCE,
    SourceSettings(
        adapter="modbus",
        groups=(GroupSettings(name="all", period_ms=1000),),
        tags=(TagSettings(name="setpoint", address="holding:14:float32", unit="rpm", writable=True),),
    ),
    CHOSEN,
)
_RPM = Argument(type="number", unit="rpm", low=0, high=3600)
# Nothing is read back: the next command's value may stand there by then.
_STEP = Step(property="setpoint", value="$RPM", verify=Verify(kind="none"))
PLANT = Plant.of(
    Model(
        assets={
            ASSET: Asset(
                properties={"setpoint": Property(tag=TagName("setpoint"), unit="rpm")},
                operations={OPERATION: Operation(risk="low", arguments={"RPM": _RPM}, steps=(_STEP,))},
            )
        }
    ),
    [DEFINITION],
)
_GATE = ProcessSpec("gate", writes=(Writes("COMMANDS", (f"cmd.{SITE}.*.gate.*",)),), lookups=("COMMANDS",))
# Executors may ask these; here nobody does.
_ASKED = (
    ProcessSpec("twin", serves=(f"twin.{SITE}.sightings",)),
    ProcessSpec("notary", account="AUDIT", serves=(f"head.{SITE}.*",)),
)


def executor_name(number: int) -> str:
    """The identity of one of the executors: each has its own consumers, so each hears of every command."""
    return process_name(f"{SOURCE}-{number}")


@dataclass
class Ground:
    """The policy in force, everybody's keys, and a broker with the rights that real processes have."""

    names: tuple[str, ...]
    url: str = ""
    logins: dict[str, NKey] = field(default_factory=dict)
    keys: dict[str, SigningKey] = field(default_factory=dict)
    root: SigningKey = field(default_factory=SigningKey.generate)
    envelope: bytes = b""

    def __post_init__(self) -> None:
        self.keys = {name: SigningKey.generate() for name in (*self.names, "gate")}
        self.envelope = dsse.encode(dsse.seal(POLICY_TYPE, msgspec.json.encode(self._policy()), self.root))

    def _policy(self) -> Policy:
        now = datetime.now(UTC)
        processes = {
            name: Principal(
                kind="process",
                keys=(key.public.to_base64(),),
                roles=("gate" if name == "gate" else "executor",),
            )
            for name, key in self.keys.items()
        }
        return Policy(
            schema=SCHEMA,
            id="race-policy",
            audience=SITE,
            revision=1,
            previous=Digest(""),
            not_before=now - timedelta(days=1),
            expires=now + timedelta(days=1),
            model=PLANT.digest,
            principals={**processes, ALICE: Principal(kind="person", person="alice", roles=("operator",))},
            roles={"operator": Role(operations=("*",))},
            operations={f"{ASSET}.{OPERATION}": OperationRule(execute_seconds=EXECUTE_SECONDS)},
            unsigned_risk="low",
        )

    def in_force(self) -> InForce:
        """A process's own view of the policy."""
        root = TrustRoot(
            site=SITE, version=1, policy=RootRole(keys=(self.root.public.to_base64(),), threshold=1)
        )
        view = InForce(root, SITE)
        view.offer(self.envelope, datetime.now(UTC))
        return view

    def permitted(self, number: int, view: InForce) -> CommandPermitted:
        """The gate's word on a command that writes its own number. Raises: IntegrityError when denied."""
        now, command = datetime.now(UTC), CommandId(f"race{number}")
        arguments: dict[str, Scalar] = {"RPM": float(number)}
        request = Request(
            command=command,
            asset=ASSET,
            operation=OPERATION,
            arguments=arguments,
            actor=ALICE,
            signed=True,
            issued_at=now,
            expires_at=now + timedelta(seconds=EXECUTE_SECONDS),
            model=PLANT.digest,
        )
        decision = judge(view.verified, PLANT, request, Observation(at=now), now, stage="request")
        if not decision.allowed:
            raise IntegrityError(f"the race's own command was denied: {decision.findings}")
        plan = plan_of(PLANT, ASSET, OPERATION, arguments)
        permit = Permit(
            site=SITE,
            source=plan.source,
            command=command,
            intent=Digest("0" * 64),
            asset=ASSET,
            operation=OPERATION,
            arguments=arguments,
            actor=ALICE,
            generation=0,
            writes=plan.writes,
            policy=decision.policy,
            model=decision.model,
            decision=decision_digest(decision),
            not_after=now + timedelta(seconds=EXECUTE_SECONDS),
        )
        return CommandPermitted(site=SITE, command=command, permit=permit, decision=decision)


@asynccontextmanager
async def ground(folder: Path, executors: int) -> AsyncIterator[Ground]:
    """A broker for the gate and so many executors of one source; stopped at the end."""
    made = Ground(tuple(executor_name(number) for number in range(1, executors + 1)))
    own = [spec(SITE, name.removeprefix("adapter-")) for name in made.names]
    specs = [*own, _GATE, *_ASKED]
    made.logins = {each.name: NKey.generate() for each in specs}
    plant_key, audit_key = NKey.generate(), NKey.generate()
    options = accounts.ServerOptions(folder=folder, port=free_port(), monitor_port=free_port())
    plant = accounts.Plant(
        site=SITE,
        processes=specs,
        clients=[],
        keys={name: key.public for name, key in made.logins.items()},
        plant_provisioner=plant_key.public,
        audit_provisioner=audit_key.public,
    )
    server = EmbeddedServer(options)
    await server.start(accounts.configuration(plant, options))
    try:
        await provision(options.url, specs, plant_key=plant_key, audit_key=audit_key)
        made.url = options.url
        yield made
    finally:
        await server.stop()


@contextmanager
def counted(device: simulated.Plant) -> Iterator[list[float]]:
    """Every speed set-point that a client of the simulated device wrote, in the order of arrival.

    The device must not run: then each change that it tells is one write.
    """
    written: list[float] = []
    seen = device.writes[Command.SPEED]

    def changed() -> None:
        nonlocal seen
        if device.writes[Command.SPEED] != seen:
            seen = device.writes[Command.SPEED]
            written.append(device.inputs.speed_setpoint_rpm)

    device.subscribe(changed)
    yield written
    if len(written) != device.writes[Command.SPEED]:
        counted_by_device = device.writes[Command.SPEED]
        raise IntegrityError(f"the device counted {counted_by_device} writes and told {len(written)} of them")
