"""Carrying out one claimed permit: read, judge, check, write, prove, for each step in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

import msgspec

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.clock import Clock
from plantops.adapters.host.execution import (
    aged,
    first_problem,
    first_reason,
    is_proved,
    is_reached,
    observed,
    unreached,
)
from plantops.adapters.host.lanes import Device, Lane, NotSent
from plantops.adapters.host.ports import Observe, Rules, nobody_knows
from plantops.adapters.host.standing import Standing
from plantops.events.base import TagName
from plantops.events.command_parts import Decision, Observation, ObservedInput, Permit, StepResult, Write
from plantops.events.commands import CommandExecuted, CommandFailed, OutcomeUnknown
from plantops.events.frames import Sample
from plantops.events.tags import SourceDefined
from plantops.runtime.errors import DeviceError, WriteRejected

Final: TypeAlias = CommandExecuted | CommandFailed | OutcomeUnknown

_LOOK_AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Course:
    """What happened so far. `stopped` says why it went no further where no write was at fault;
    `is_unknown` that a write may or may not have reached the device; `window_ms` is the first write's."""

    steps: tuple[StepResult, ...] = ()
    decision: Decision | None = None
    window_ms: float = 0.0
    stopped: str = ""
    is_unknown: bool = False


class Deeds:
    """Writes to one device what a permit says, each write at most once.

    `seen` is the newest polled sample of a tag: the before-value of a stop, which waits for no read.
    """

    def __init__(
        self,
        *,
        definition: SourceDefined,
        device: Device,
        rules: Rules,
        observe: Observe,
        clock: Clock,
        seen: Callable[[int], Sample | None],
    ) -> None:
        self._device, self._rules, self._observe = device, rules, observe
        self._clock, self._seen = clock, seen
        self._places = {tag.name: index for index, tag in enumerate(definition.tags)}

    async def look(
        self, tags: Sequence[TagName], lane: Lane, now: Callable[[], datetime]
    ) -> tuple[ObservedInput, ...]:
        """Each tag once, in the order given: ours read from the device now, others as their frames tell, as
        old as they are at `now`: whoever observed them may have a clock that lags.

        Raises: DeviceError, BrokerUnavailable.
        """
        names = list(dict.fromkeys(tags))
        own = [name for name in names if name in self._places]
        foreign = [name for name in names if name not in self._places]
        found: dict[TagName, ObservedInput] = {}
        seen = await self._observe(foreign) if foreign else None
        if own:
            samples = await self._device.read([self._places[name] for name in own], lane)
            found |= {name: observed(name, sample) for name, sample in zip(own, samples, strict=True)}
        if seen is not None:
            since = (now() - seen.at).total_seconds()
            found |= {one.tag: aged(one, since) for one in seen.inputs if one.tag in foreign}
        return tuple(found.get(name) or nobody_knows([name])[0] for name in names)

    def encode(self, writes: Sequence[Write]) -> tuple[str, ...]:
        """What would go over the wire. Raises: WriteRejected."""
        return tuple(self._device.encode(self._place(write.tag), write.value) for write in writes)

    async def normal(self, permit: Permit, standing: Standing) -> Final:
        """Step by step: each one is judged on fresh inputs, and the first that is not proved is the last."""
        course = Course()
        for write in permit.writes:
            course = await self._step(permit, write, course, standing)
            if course.stopped or course.is_unknown or not is_proved(course.steps[-1]):
                break
        return self._ending(permit, course)

    async def safe(self, permit: Permit, standing: Standing) -> Final:
        """Every write at once, whatever happens to the others; proof comes after the last.

        Permissives are not asked and nothing is read before. A device that is away is waited for as long
        as the permit stands.
        """
        started = self._clock.monotonic()
        now = standing.now()
        decision = self._rules.judge(permit, Observation(at=now), now)
        course = Course(decision=decision, stopped="" if decision.allowed else first_reason(decision))
        with self._device.reserve():
            for write in permit.writes:
                if course.stopped:
                    break
                before = self._seen(self._place(write.tag))
                known = nobody_knows([write.tag])[0] if before is None else observed(write.tag, before)
                course = await self._write(
                    course, write, known, standing=standing, lane=Lane.SAFE, started=started
                )
        for place, step in enumerate(course.steps):
            if step.written_at is not None:
                course = await self._prove(place, course, standing, Lane.SAFE)
        return self._ending(permit, course)

    async def _step(self, permit: Permit, write: Write, course: Course, standing: Standing) -> Course:
        started = self._clock.monotonic()
        try:
            inputs = await self.look([*self._rules.needed(permit), write.tag], Lane.COMMAND, standing.now)
        except (DeviceError, *AWAY) as error:
            return replace(course, stopped=f"the inputs cannot be read: {error}")
        now = standing.now()
        decision = self._rules.judge(permit, Observation(at=now, inputs=inputs), now)
        course = replace(course, decision=decision)
        if not decision.allowed:
            return replace(course, stopped=first_reason(decision))
        if reason := await standing.revoked():
            return replace(course, stopped=reason)
        before = next(one for one in inputs if one.tag == write.tag)
        course = await self._write(
            course, write, before, standing=standing, lane=Lane.COMMAND, started=started
        )
        if course.stopped or course.is_unknown or course.steps[-1].written_at is None:
            return course
        return await self._prove(len(course.steps) - 1, course, standing, Lane.COMMAND)

    async def _write(
        self,
        course: Course,
        write: Write,
        before: ObservedInput,
        *,
        standing: Standing,
        lane: Lane,
        started: float,
    ) -> Course:
        """The course with this step in it; without it where nothing was sent."""
        window = course.window_ms

        def guard() -> str:
            nonlocal window
            window = window if course.steps else (self._clock.monotonic() - started) * 1000
            return standing.void()

        step = StepResult(write=write, before=before.value, before_quality=before.quality)
        is_unknown = course.is_unknown
        while True:
            try:
                reason = await self._device.write(self._place(write.tag), write.value, lane, guard)
            except NotSent as error:
                if lane is Lane.SAFE and not (reason := standing.void()):
                    self._device.wanted.set()
                    await self._clock.sleep(_LOOK_AGAIN_SECONDS)
                    continue
                return replace(course, stopped=reason if lane is Lane.SAFE else error.message)
            except WriteRejected as error:
                step = msgspec.structs.replace(step, problem=error.message)
            except DeviceError as error:
                is_unknown = True
                step = msgspec.structs.replace(step, problem=f"may have been written: {error.message}")
            else:
                if reason:
                    return replace(course, stopped=reason)
                step = msgspec.structs.replace(step, written_at=standing.now())
            return replace(course, steps=(*course.steps, step), window_ms=window, is_unknown=is_unknown)

    async def _prove(self, place: int, course: Course, standing: Standing, lane: Lane) -> Course:
        """The course with the step at `place` verified as its write demands."""
        step = course.steps[place]
        write = step.write
        if write.verify == "none":
            return course
        tag = write.feedback if write.verify == "feedback" else write.tag
        until = self._clock.monotonic() + write.settle_seconds
        problem = ""
        is_unknown = course.is_unknown
        found: ObservedInput | None = None
        while True:
            try:
                found = (await self.look([tag], lane, standing.now))[0]
            except (DeviceError, *AWAY) as error:
                problem, is_unknown = f"{tag} cannot be read back: {error}", True
                break
            if is_reached(write.value, found, write.tolerance):
                break
            problem = standing.overtaken()
            left = until - self._clock.monotonic()
            if problem or left <= 0:
                problem = problem or unreached(write, found, tag)
                break
            await self._clock.sleep(min(_LOOK_AGAIN_SECONDS, left))
        proved = msgspec.structs.replace(
            step, read_back=found.value if found else None, verified=not problem, problem=problem
        )
        steps = (*course.steps[:place], proved, *course.steps[place + 1 :])
        return replace(course, steps=steps, is_unknown=is_unknown)

    def _ending(self, permit: Permit, course: Course) -> Final:
        problem = course.stopped or first_problem(course.steps)
        if course.is_unknown:
            return OutcomeUnknown(
                site=permit.site,
                command=permit.command,
                reason=first_problem(course.steps) or course.stopped,
                steps=course.steps,
            )
        undo = self._rules.undo(permit, course.steps)
        if problem or course.decision is None or len(course.steps) != len(permit.writes):
            return CommandFailed(
                site=permit.site,
                command=permit.command,
                reason=problem or "not every step was written",
                written=any(step.written_at is not None for step in course.steps),
                steps=course.steps,
                undo=undo,
                decision=course.decision,
            )
        return CommandExecuted(
            site=permit.site,
            command=permit.command,
            steps=course.steps,
            undo=undo,
            window_ms=course.window_ms,
            decision=course.decision,
        )

    def _place(self, tag: TagName) -> int:
        return self._places[tag]
