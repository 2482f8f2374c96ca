"""Carrying out one claimed permit: read, judge, check, write, prove, for each step in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.clock import Clock
from plantops.adapters.host.compensation import take_back
from plantops.adapters.host.course import Course, Final, ending
from plantops.adapters.host.execution import first_reason, observed, outdated
from plantops.adapters.host.hands import Hands
from plantops.adapters.host.invoking import Invocations
from plantops.adapters.host.lanes import Lane
from plantops.adapters.host.ports import Rules, nobody_knows
from plantops.adapters.host.progress import Progress
from plantops.adapters.host.standing import Standing
from plantops.events.command_parts import Observation, ObservedInput, Permit, Write
from plantops.events.frames import Sample
from plantops.runtime.errors import DeviceError


class Deeds:
    """Does at one device what a permit says, each write at most once.

    `seen` is the newest polled sample of a tag: the before-value of a stop, which waits for no read.
    """

    def __init__(
        self, hands: Hands, *, rules: Rules, clock: Clock, seen: Callable[[int], Sample | None]
    ) -> None:
        self._hands, self._rules, self._clock, self._seen = hands, rules, clock, seen
        self._invocations = Invocations(hands, rules=rules, clock=clock)

    async def normal(self, permit: Permit, standing: Standing, progress: Progress) -> Final:
        """Step by step: each one is judged on fresh inputs, and the first that is not proved is the last.

        Then, where the permit says so and no outcome is open, what was written is taken back.
        """
        if permit.invocation is not None:
            return await self._invocations.normal(permit, permit.invocation, standing, progress)
        course = Course()
        for number, write in enumerate(permit.writes, 1):
            course = await self._step(permit, write, course, standing)
            if course.is_over:
                break
            if len(permit.writes) > 1:
                await progress.tell(number, len(permit.writes), course.steps[-1])
        back = None
        if permit.compensates and course.is_over and not course.is_unknown:
            back = await take_back(self._hands, course, standing, self._clock)
        return ending(permit, course, self._rules.undo(permit, course.steps), back)

    async def safe(self, permit: Permit, standing: Standing, *, is_again: bool) -> Final:
        """Every write at once, whatever happens to the others; proof comes after the last.

        Permissives are not asked and nothing is read before. A device that is away is waited for as long
        as the permit stands. `is_again`: an earlier run may have written some of it, so that nobody knows
        what stood there before.
        """
        if permit.invocation is not None:
            return await self._invocations.safe(permit, permit.invocation, standing)
        started = self._clock.monotonic()
        now = standing.now()
        decision = self._rules.judge(permit, Observation(at=now), now)
        course = Course(decision=decision, stopped="" if decision.allowed else first_reason(decision))
        with self._hands.device.reserve():
            for write in permit.writes:
                if course.stopped:
                    break
                course = await self._hands.write(
                    course,
                    write,
                    nobody_knows([write.tag])[0] if is_again else self._polled(write),
                    standing=standing,
                    void=standing.void,
                    lane=Lane.SAFE,
                    started=started,
                )
        for place, step in enumerate(course.steps):
            if step.written_at is not None:
                course = await self._hands.prove(place, course, standing, Lane.SAFE)
        return ending(permit, course, self._rules.undo(permit, course.steps), None)

    def _polled(self, write: Write) -> ObservedInput:
        before = self._seen(self._hands.place(write.tag))
        return nobody_knows([write.tag])[0] if before is None else observed(write.tag, before)

    async def _step(self, permit: Permit, write: Write, course: Course, standing: Standing) -> Course:
        started = self._clock.monotonic()
        if reason := standing.void():
            return replace(course, stopped=reason)
        try:
            inputs = await self._hands.look(
                [*self._rules.needed(permit), write.tag], Lane.COMMAND, standing.now
            )
        except (DeviceError, *AWAY) as error:
            return replace(course, stopped=f"the inputs cannot be read: {error}")
        now = standing.now()
        decision = self._rules.judge(permit, Observation(at=now, inputs=inputs), now)
        judged_at = self._clock.monotonic()
        course = replace(course, decision=decision)
        if not decision.allowed:
            return replace(course, stopped=first_reason(decision))
        if reason := await standing.revoked():
            return replace(course, stopped=reason)
        before = next(one for one in inputs if one.tag == write.tag)
        tried, policy = len(course.steps), decision.policy if course.is_written else permit.policy
        course = await self._hands.write(
            course,
            write,
            before,
            standing=standing,
            void=lambda: (
                standing.void() or outdated(policy, self._rules, self._clock.monotonic() - judged_at)
            ),
            lane=Lane.COMMAND,
            started=started,
        )
        if course.is_unknown or len(course.steps) == tried or course.steps[-1].written_at is None:
            return course
        return await self._hands.prove(tried, course, standing, Lane.COMMAND)
