"""What the executor needs from outside: rules to judge by, an audit, and a look at other sources' tags."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from plantops.events import Event
from plantops.events.base import AssetName, Digest, OperationName, Scalar, TagName
from plantops.events.command_parts import Decision, Observation, ObservedInput, Permit, StepResult, Write
from plantops.policy.writes import Plan

Observe: TypeAlias = Callable[[Sequence[TagName]], Awaitable[Observation]]
"""What is known of tags of other sources, by signed frames; a tag that nobody knows is answered as bad."""


class Auditor(Protocol):
    """The process's own chain of audit records."""

    async def append(self, kind: str, body: Event, *, command: str = "") -> None:
        """Returns when AUDIT has it. Raises: BrokerUnavailable."""
        ...

    async def append_or_journal(self, kind: str, body: Event, *, command: str = "") -> bool:
        """Returns soon: AUDIT has it (True), or a signed local record stands in."""
        ...


class Rules(Protocol):
    """The policy in force and the plant's model, asked anew for each command."""

    @property
    def policy(self) -> Digest:
        """Digest of the policy in force, empty when there is none."""
        ...

    @property
    def model(self) -> Digest:
        """Digest of the plant's model."""
        ...

    async def refresh(self) -> None:
        """Look whether a newer policy was published; what cannot be had or believed changes nothing."""
        ...

    def is_known(self, policy: Digest) -> bool:
        """Whether this process has verified that policy, now or before."""
        ...

    def is_safe(self, asset: AssetName, operation: OperationName) -> bool:
        """Whether the last verified policy calls it safe-direction."""
        ...

    def plan(self, permit: Permit) -> Plan:
        """What the model does for the permit's operation and arguments, and where. Raises: Refused."""
        ...

    def simulator(self, permit: Permit) -> Plan | None:
        """What the model asks the operation's external simulator, if it has one. Raises: Refused."""
        ...

    def compensates(self, permit: Permit) -> bool:
        """Whether the model takes the steps back when one of them fails."""
        ...

    def bypass_problem(self, permit: Permit) -> str:
        """Why one of the permit's bypasses is none that the policy in force allows; empty when all are.

        Whether its time has come or is over is asked by the judgement, for each step anew.
        """
        ...

    def evidence_problem(self, permit: Permit, now: datetime) -> str:
        """Why the persons themselves do not stand behind the permit; empty when they do."""
        ...

    def needed(self, permit: Permit) -> tuple[TagName, ...]:
        """The tags that a judgement reads."""
        ...

    def judge(self, permit: Permit, observation: Observation, now: datetime) -> Decision:
        """The judgement at the moment of execution."""
        ...

    def undo(self, permit: Permit, steps: Sequence[StepResult]) -> tuple[Write, ...]:
        """The writes that restore what stood there before; none for an undo itself."""
        ...


def nobody_knows(tags: Sequence[TagName]) -> tuple[ObservedInput, ...]:
    """Each tag as unknown."""
    return tuple(
        ObservedInput(tag=tag, value=None, quality=0, age_seconds=None, note="not observed here")
        for tag in tags
    )


def same(left: Scalar, right: Scalar) -> bool:
    """Equal in value and in being a truth value, a number or a text."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right
