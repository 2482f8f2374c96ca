"""Rules by the policy in force in this process and the plant's model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from plantops.events.base import AssetName, Digest, OperationName, TagName
from plantops.events.circumstances import Circumstances
from plantops.events.command_parts import Decision, Observation, Permit, StepResult, Write
from plantops.model.load import Plant
from plantops.policy.circumstantial import is_bypass_allowed
from plantops.policy.evidence import evidence_problem
from plantops.policy.in_force import InForce
from plantops.policy.judge import Request, inputs_needed, judge, rule_for
from plantops.policy.writes import Plan, plan_of, simulator_of, undo_of
from plantops.runtime.errors import PlantOpsError


class PolicyRules:
    """See `ports.Rules`."""

    def __init__(self, plant: Plant, in_force: InForce, refresh: Callable[[], Awaitable[object]]) -> None:
        self._plant, self._in_force, self._refresh = plant, in_force, refresh
        self._known: set[Digest] = set()

    @property
    def policy(self) -> Digest:
        verified = self._in_force.verified
        if verified is None:
            return Digest("")
        self._known.add(verified.digest)
        return verified.digest

    @property
    def model(self) -> Digest:
        return self._plant.digest

    async def refresh(self) -> None:
        try:
            await self._refresh()
        except PlantOpsError:
            # Who follows the policies tells about it; here the one in force goes on.
            return

    def is_known(self, policy: Digest) -> bool:
        verified = self._in_force.verified
        return policy in self._known or (verified is not None and policy == verified.policy.previous)

    def is_safe(self, asset: AssetName, operation: OperationName) -> bool:
        verified = self._in_force.verified
        return verified is not None and rule_for(verified.policy, asset, operation).safe_direction

    def plan(self, permit: Permit) -> Plan:
        return plan_of(self._plant, permit.asset, permit.operation, permit.arguments)

    def simulator(self, permit: Permit) -> Plan | None:
        return simulator_of(self._plant, permit.asset, permit.operation, permit.arguments)

    def compensates(self, permit: Permit) -> bool:
        found = self._plant.operation(permit.asset, permit.operation)
        return found is not None and found.compensate == "restore"

    def bypass_problem(self, permit: Permit) -> str:
        verified = self._in_force.verified
        for each in permit.bypasses:
            if verified is None or each.asset != permit.asset or not is_bypass_allowed(each, verified.policy):
                return (
                    f"the policy in force here does not allow the bypass {each.bypass} of {each.permissive}"
                )
        return ""

    def evidence_problem(self, permit: Permit, now: datetime) -> str:
        if self._in_force.verified is None:
            return "no verified policy is in force here"
        return evidence_problem(permit, self._in_force.keyring, self._plant, now)

    def needed(self, permit: Permit) -> tuple[TagName, ...]:
        verified = self._in_force.verified
        if verified is None:
            return ()
        return inputs_needed(verified.policy, self._plant, permit.asset, permit.operation)

    def judge(self, permit: Permit, observation: Observation, now: datetime) -> Decision:
        """The gate has judged who asked and how; its signature on the permit stands for the actor's.

        The permit's own span stands for the intent's. Judged anew are policy, rights, arguments and plant;
        the permit's bypasses are held against their own time and the policy's classes once more.
        """
        verified = self._in_force.verified
        seconds = (
            0.0
            if verified is None
            else rule_for(verified.policy, permit.asset, permit.operation).execute_seconds
        )
        request = Request(
            command=permit.command,
            asset=permit.asset,
            operation=permit.operation,
            arguments=permit.arguments,
            actor=permit.actor,
            on_behalf_of=permit.on_behalf_of,
            signed=True,
            issued_at=permit.not_after - timedelta(seconds=seconds),
            expires_at=permit.not_after,
            model=permit.model,
        )
        return judge(
            verified,
            self._plant,
            request,
            observation,
            now,
            stage="execution",
            circumstances=Circumstances(bypasses=permit.bypasses),
        )

    def undo(self, permit: Permit, steps: Sequence[StepResult]) -> tuple[Write, ...]:
        if permit.undoes:
            return ()
        return undo_of(self._plant, permit.asset, permit.operation, steps)
