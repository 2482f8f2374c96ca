"""Operations that the device carries out itself: one call instead of writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from plantops.adapters.contract import Invoked
from plantops.adapters.host.away import AWAY
from plantops.adapters.host.clock import Clock
from plantops.adapters.host.course import Final
from plantops.adapters.host.execution import first_reason, outdated
from plantops.adapters.host.hands import LOOK_AGAIN_SECONDS, Hands
from plantops.adapters.host.lanes import Lane, NotSent
from plantops.adapters.host.ports import Rules
from plantops.adapters.host.progress import Progress
from plantops.adapters.host.standing import Standing
from plantops.events.base import Scalar
from plantops.events.command_parts import Decision, Invocation, Observation, Permit
from plantops.events.commands import CommandExecuted, CommandFailed, OutcomeUnknown
from plantops.policy.arguments import is_writable_down
from plantops.runtime.errors import DeviceError, WriteRejected


class Invocations:
    """Invokes at most once for each claimed command, in the order of a written step."""

    def __init__(self, hands: Hands, *, rules: Rules, clock: Clock) -> None:
        self._hands, self._rules, self._clock = hands, rules, clock

    async def normal(
        self, permit: Permit, invocation: Invocation, standing: Standing, progress: Progress
    ) -> Final:
        """Told, read, judged, checked, invoked."""
        await progress.tell(0, 1, text=f"{permit.source} is about to carry out {invocation.path}")
        started = self._clock.monotonic()
        if reason := standing.void():
            return _failed(permit, reason)
        try:
            inputs = await self._hands.look(self._rules.needed(permit), Lane.COMMAND, standing.now)
        except (DeviceError, *AWAY) as error:
            return _failed(permit, f"the inputs cannot be read: {error}")
        now = standing.now()
        decision = self._rules.judge(permit, Observation(at=now, inputs=inputs), now)
        judged_at = self._clock.monotonic()
        if not decision.allowed:
            return _failed(permit, first_reason(decision), decision)
        if reason := await standing.revoked():
            return _failed(permit, reason, decision)

        def void() -> str:
            waited = self._clock.monotonic() - judged_at
            return standing.void() or outdated(permit.policy, self._rules, waited)

        return await self._invoke(permit, invocation, decision, void, started)

    async def safe(self, permit: Permit, invocation: Invocation, standing: Standing) -> Final:
        """At once; a device that is away is waited for as long as the permit stands."""
        started = self._clock.monotonic()
        now = standing.now()
        decision = self._rules.judge(permit, Observation(at=now), now)
        if not decision.allowed:
            return _failed(permit, first_reason(decision), decision)
        while not self._hands.device.is_attached and not standing.void():
            self._hands.device.wanted.set()
            await self._clock.sleep(LOOK_AGAIN_SECONDS)
        return await self._invoke(permit, invocation, decision, standing.void, started)

    async def rehearse(self, permit: Permit, invocation: Invocation, void: Callable[[], str]) -> Invoked:
        """What it would do. Raises: DeviceError."""
        done = await self._hands.device.invoke(invocation, permit.command, simulate=True, guard=void)
        return done if isinstance(done, Invoked) else Invoked(state="failed", message=done)

    async def _invoke(
        self,
        permit: Permit,
        invocation: Invocation,
        decision: Decision,
        void: Callable[[], str],
        started: float,
    ) -> Final:
        window = 0.0

        def guard() -> str:
            nonlocal window
            window = (self._clock.monotonic() - started) * 1000
            return void()

        try:
            done = await self._hands.device.invoke(invocation, permit.command, simulate=False, guard=guard)
        except (NotSent, WriteRejected) as error:
            return _failed(permit, error.message, decision)
        except DeviceError as error:
            reason = f"it may have been started: {error.message}"
            return OutcomeUnknown(site=permit.site, command=permit.command, reason=reason)
        if isinstance(done, str):
            return _failed(permit, done, decision)
        if done.state == "failed":
            reason = done.message or f"{invocation.path} failed and did not say why"
            return _failed(permit, reason, decision, written=True)
        return CommandExecuted(
            site=permit.site,
            command=permit.command,
            steps=(),
            undo=(),
            window_ms=window,
            decision=decision,
            outputs=told(done.outputs),
        )


def told(outputs: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Outputs as an event can hold them: what JSON has no form for stands there as text."""
    return {name: value if is_writable_down(value) else repr(value) for name, value in outputs.items()}


def _failed(
    permit: Permit, reason: str, decision: Decision | None = None, *, written: bool = False
) -> CommandFailed:
    return CommandFailed(
        site=permit.site, command=permit.command, reason=reason, written=written, decision=decision
    )
