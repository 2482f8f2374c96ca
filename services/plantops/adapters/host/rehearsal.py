"""Dry runs: what the device would do, found out without doing it."""

from __future__ import annotations

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.hands import Hands
from plantops.adapters.host.invoking import Invocations, told
from plantops.adapters.host.lanes import Lane
from plantops.adapters.host.ports import Rules
from plantops.adapters.host.standing import Standing
from plantops.events.base import TagName
from plantops.events.command_parts import Invocation, Observation, ObservedInput, Permit
from plantops.events.commands import DryRunDone
from plantops.runtime.errors import DeviceError, WriteRejected


class Rehearsals:
    """Reads, judges nothing, encodes or asks, writes nothing; the gate judges the answer."""

    def __init__(self, hands: Hands, invocations: Invocations, rules: Rules) -> None:
        self._hands, self._invocations, self._rules = hands, invocations, rules

    async def done(self, permit: Permit, problem: str, standing: Standing) -> DryRunDone:
        """The answer; `problem` is what speaks against the permit already."""
        if problem:
            return _no(permit, problem)
        try:
            if permit.invocation is not None:
                return await self._asked(permit, permit.invocation, standing)
            return await self._encoded(permit, standing)
        except WriteRejected as error:
            return _no(permit, f"the device would refuse it: {error.message}")
        except (DeviceError, *AWAY) as error:
            return _no(permit, f"the plant cannot be read: {error}")

    async def _encoded(self, permit: Permit, standing: Standing) -> DryRunDone:
        names = [write.tag for write in permit.writes]
        encoded = self._hands.encode(permit.writes)
        inputs = await self._look(permit, names, standing)
        return DryRunDone(
            site=permit.site,
            command=permit.command,
            ok=True,
            before=tuple(one for one in inputs if one.tag in names),
            encoded=encoded,
            observation=Observation(at=standing.now(), inputs=inputs),
        )

    async def _asked(self, permit: Permit, invocation: Invocation, standing: Standing) -> DryRunDone:
        """What the device says that it would do. The inputs come last: they are to be fresh when judged."""
        done = await self._invocations.rehearse(permit, invocation, standing.void)
        if done.state == "failed":
            return _no(permit, done.message or f"{invocation.path} would fail, and does not say why")
        inputs = await self._look(permit, [], standing)
        return DryRunDone(
            site=permit.site,
            command=permit.command,
            ok=True,
            observation=Observation(at=standing.now(), inputs=inputs),
            simulated=told(done.outputs),
        )

    async def _look(
        self, permit: Permit, names: list[TagName], standing: Standing
    ) -> tuple[ObservedInput, ...]:
        return await self._hands.look([*self._rules.needed(permit), *names], Lane.COMMAND, standing.now)


def _no(permit: Permit, problem: str) -> DryRunDone:
    return DryRunDone(site=permit.site, command=permit.command, ok=False, problem=problem)
