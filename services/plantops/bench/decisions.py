"""Judgements and gate decisions per second, in this process and without a broker."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from plantops.bench.figures import Bench, Figure, Load, Tell, figure
from plantops.bench.ground import temporary_folder
from plantops.deployment.initialise import initialise
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.deployment.site import Site
from plantops.events import Event
from plantops.events.base import (
    AssetName,
    Digest,
    OperationName,
    PrincipalName,
    Scalar,
    SiteName,
    to_nanoseconds,
)
from plantops.events.command_parts import Intent, Observation, ObservedInput, command_id
from plantops.events.commands import CommandExecuted, CommandPermitted, CommandRequested, SimulationOrdered
from plantops.events.operations import PolicyPublished
from plantops.flow.processor import Recorded
from plantops.flow.step import step
from plantops.gate.core import Gate
from plantops.gate.state import GateState
from plantops.policy.judge import Request, inputs_needed, judge
from plantops.policy.verify import Verified, load_root
from plantops.runtime.errors import IntegrityError

ACTOR = PrincipalName("alice")
# What stands in the demo plant when all is well.
WELL: dict[str, Scalar] = {
    "plc1.plc_running": True,
    "plc1.pump.local_mode": False,
    "plc1.pump.maintenance": False,
    "plc1.pump.motor_temperature": 60.0,
}
ASKED: dict[str, tuple[str, str, dict[str, Scalar]]] = {
    "medium": ("valve-001", "SetPosition", {"PERCENT": 40.0}),
    "high": ("pump-001", "SetSpeed", {"RPM": 1200}),
}


@dataclass(frozen=True)
class Demo:
    """The demo site and its verified policy."""

    site: Site
    verified: Verified
    now: datetime

    def observation(self, asset: str, operation: str) -> Observation:
        """All inputs of an operation, as they stand when all is well."""
        tags = inputs_needed(self.verified.policy, self.site.plant, asset, operation)
        inputs = [
            ObservedInput(tag=tag, value=WELL[tag], quality=192, age_seconds=0.1, sequence=1) for tag in tags
        ]
        return Observation(at=self.now, inputs=tuple(inputs))


def demo_in(root: Path) -> Demo:
    """A new demo site there."""
    site = initialise(root, front=False).site
    verified = verify_envelope(site.folder, read_envelope(site.folder))
    return Demo(site, verified, datetime.now(UTC))


def _judged(demo: Demo, risk: str, count: int) -> float:
    """Judgements/s. Raises: IntegrityError when they are not all permissions."""
    asset, operation, arguments = ASKED[risk]
    request = Request(
        command=command_id(ACTOR, "bench"),
        asset=AssetName(asset),
        operation=OperationName(operation),
        arguments=arguments,
        actor=ACTOR,
        signed=True,
        issued_at=demo.now,
        expires_at=demo.now + timedelta(minutes=5),
        model=demo.site.plant.digest,
    )
    observation = demo.observation(asset, operation)
    begun = time.perf_counter()
    for _ in range(count):
        decision = judge(demo.verified, demo.site.plant, request, observation, demo.now, stage="request")
    seconds = time.perf_counter() - begun
    if not decision.allowed:
        raise IntegrityError(f"{asset}.{operation} was denied: {decision.findings}")
    return count / seconds


def history_of(demo: Demo, risk: str, count: int) -> list[Recorded]:
    """A policy, then `count` intents, as the door stores them."""
    site, (asset, operation, arguments) = SiteName(demo.site.name), ASKED[risk]
    envelope = demo.verified.envelope.decode()
    policy = PolicyPublished(
        site=site, revision=demo.verified.policy.revision, digest=demo.verified.digest, envelope=envelope
    )
    history = [_recorded(demo, "POLICY", 1, f"policy.{site}", policy)]
    for number in range(1, count + 1):
        key = f"bench{number}"
        intent = Intent(
            site=site,
            asset=AssetName(asset),
            operation=OperationName(operation),
            arguments=arguments,
            actor=ACTOR,
            key=key,
            nonce=key,
            issued_at=demo.now,
            expires_at=demo.now + timedelta(minutes=5),
            model=demo.site.plant.digest,
        )
        event = CommandRequested(
            site=site,
            command=command_id(ACTOR, key),
            intent=intent,
            digest=Digest(hashlib.sha256(key.encode()).hexdigest()),
            login=ACTOR,
            signer=ACTOR,
            evidence="",
            received_at=demo.now,
            observation=demo.observation(asset, operation),
        )
        history.append(
            _recorded(demo, "INTENTS", number, f"intent.{site}.{ACTOR}.{asset}.{operation}", event)
        )
    return history


def _recorded(  # noqa: PLR0917 - the fields of `Recorded`, in its order
    demo: Demo, stream: str, sequence: int, subject: str, event: Event, signer: str = "gate"
) -> Recorded:
    return Recorded(
        stream, sequence, subject, to_nanoseconds(demo.now), event, signer, f"{stream}.{sequence}"
    )


def _gated(demo: Demo, risk: str, count: int) -> float:
    """Intents/s through the gate's core; each permitted command is told as executed, so that the next may go.

    Raises: IntegrityError when one of them was not let through.
    """
    gate = Gate(SiteName(demo.site.name), demo.site.plant, load_root(demo.site.folder.trust_root))
    policy, *asked = history_of(demo, risk, count)
    state, _ = step(gate, gate.initial(), policy)
    passed, seconds = 0, 0.0
    for number, recorded in enumerate(asked, 1):
        begun = time.perf_counter()
        state, own = step(gate, state, recorded)
        seconds += time.perf_counter() - begun
        passed += sum(isinstance(each.fact, (CommandPermitted, SimulationOrdered)) for each in own)
        state = _told_executed(demo, gate, state, own, number)
    if passed != count:
        raise IntegrityError(f"the gate let {passed} of {count} {risk} commands through")
    return count / seconds


def _told_executed(
    demo: Demo, gate: Gate, state: GateState, own: Sequence[Recorded], number: int
) -> GateState:
    for each in executed(demo, own, number):
        state, _ = step(gate, state, each)
    return state


def executed(demo: Demo, own: Sequence[Recorded], number: int) -> list[Recorded]:
    """What executors say to the permits among the gate's words."""
    said = []
    for each in own:
        if isinstance(each.fact, CommandPermitted):
            permitted = each.fact
            by = f"adapter-{permitted.permit.source}"
            event = CommandExecuted(
                site=permitted.site,
                command=permitted.command,
                steps=(),
                undo=(),
                window_ms=0.0,
                decision=permitted.decision,
            )
            subject = f"cmd.{permitted.site}.executed.{by}.{permitted.command}"
            said.append(_recorded(demo, "COMMANDS", number, subject, event, by))
    return said


async def run(load: Load, tell: Tell) -> list[Figure]:
    """Both risks, the judge alone and the gate's core."""
    count = load.count(2000, least=20)
    figures = []
    async with temporary_folder() as folder:
        demo = demo_in(folder / "site")
        for risk, (asset, operation, _) in ASKED.items():
            rates: dict[str, list[float]] = {"judge": [], "gate": []}
            for number in range(load.runs):
                tell(f"{asset}.{operation}, run {number + 1} of {load.runs}")
                rates["judge"].append(await asyncio.to_thread(_judged, demo, risk, count))
                rates["gate"].append(await asyncio.to_thread(_gated, demo, risk, count))
            for part, runs in rates.items():
                title = {"judge": "policy judged", "gate": "gate's core decides"}[part]
                figures.append(
                    figure(
                        f"decisions.{part}.{risk}",
                        f"{title}: {asset}.{operation}",
                        runs,
                        "decisions/s",
                        better="higher",
                        note=f"{count} a run, in process",
                    )
                )
    return figures


BENCH = Bench("decisions", "Decisions in process", run)
