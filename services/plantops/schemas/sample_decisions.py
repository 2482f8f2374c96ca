"""Requests, observations and what the sample policy says of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from plantops.events.base import Digest, OperationName, PrincipalName, Scalar, TagName, encode_json
from plantops.events.command_parts import Decision, Intent, Observation, ObservedInput, Stage, command_id
from plantops.policy.judge import judge
from plantops.policy.rules import Request
from plantops.schemas.sample_plant import NOW, PLANT, PUMP, RESET, SET_SPEED, SITE, STOP, verified


@dataclass(frozen=True, slots=True)
class Case:
    """One judgement: what was asked, what was seen (None: nothing), and at which stage."""

    name: str
    intent: Intent
    signed: bool
    observation: Observation | None
    stage: Stage

    def request(self) -> Request:
        """The intent as the rules see it."""
        return Request.of(command_id(self.intent.actor, self.intent.key), self.intent, signed=self.signed)

    def decision(self) -> Decision:
        """What the policy says; the same bytes whenever it is asked."""
        return judge(verified(), PLANT, self.request(), self.observation, NOW, stage=self.stage)


def intent(
    operation: OperationName,
    arguments: dict[str, Scalar] | None = None,
    *,
    actor: str = "alice",
    on_behalf_of: tuple[str, ...] = (),
) -> Intent:
    """A complete intent that alice, or somebody in her name, signs."""
    return Intent(
        site=SITE,
        asset=PUMP,
        operation=operation,
        arguments=arguments or {},
        actor=PrincipalName(actor),
        on_behalf_of=tuple(map(PrincipalName, on_behalf_of)),
        key=f"example-{operation}",
        nonce="00112233445566778899aabb",
        issued_at=NOW - timedelta(seconds=1),
        expires_at=NOW + timedelta(minutes=20),
        model=PLANT.digest,
        reason="example",
        derived_from=("tag:plc1.speed@TAGS:41",) if on_behalf_of else (),
    )


def _seen(name: str, value: Scalar | None, quality: int = 192, age: float | None = 0.25) -> ObservedInput:
    return ObservedInput(
        tag=TagName(f"plc1.{name}"),
        value=value,
        quality=quality,
        age_seconds=age,
        source_time=NOW - timedelta(milliseconds=300),
        sequence=41,
        note="" if age is not None else "never confirmed",
    )


def observed(**changed: ObservedInput) -> Observation:
    """The pump runs well, apart from what is given."""
    inputs = {
        "local": _seen("local", False),
        "temperature": _seen("temperature", 61.5),
        "setpoint": _seen("setpoint", 900.0),
        "run": _seen("run", True),
        "speed": _seen("speed", 899.2),
    }
    return Observation(at=NOW, inputs=tuple((inputs | changed).values()))


SPEED: Final = intent(SET_SPEED, {"RPM": 1200.0})
INTENT_DIGEST: Final = Digest(hashlib.sha256(encode_json(SPEED)).hexdigest())

CASES: Final = (
    Case("allowed", SPEED, True, observed(), "request"),
    Case(
        "allowed_for_an_agent",
        intent(SET_SPEED, {"RPM": 950}, actor="agent", on_behalf_of=("alice",)),
        True,
        observed(),
        "execution",
    ),
    Case("too_hot", SPEED, True, observed(temperature=_seen("temperature", 96.0)), "request"),
    Case("stale_input", SPEED, True, observed(temperature=_seen("temperature", 61.5, age=7.5)), "execution"),
    Case("bad_quality", SPEED, True, observed(local=_seen("local", None, 24)), "request"),
    Case("never_confirmed", SPEED, True, observed(local=_seen("local", None, 0, None)), "request"),
    Case("nothing_seen", SPEED, True, None, "request"),
    Case("argument_out_of_limits", intent(SET_SPEED, {"RPM": 3400.0}), True, observed(), "request"),
    Case("argument_of_another_type", intent(SET_SPEED, {"RPM": "fast"}), True, observed(), "request"),
    Case("unsigned", SPEED, False, observed(), "request"),
    Case("no_right", intent(SET_SPEED, {"RPM": 1000.0}, actor="bob"), True, observed(), "request"),
    Case("stranger", intent(STOP, actor="mallory"), True, observed(), "request"),
    Case("stop_without_observation", intent(STOP), True, None, "request"),
    Case(
        "three_valued",
        intent(RESET),
        True,
        observed(run=_seen("run", None, 24), speed=_seen("speed", 3.0)),
        "approval",
    ),
    Case(
        "critical_allowed",
        intent(RESET),
        True,
        observed(run=_seen("run", False), speed=_seen("speed", 3.0)),
        "approval",
    ),
    Case("unknown_operation", intent(OperationName("Explode")), True, observed(), "request"),
)
