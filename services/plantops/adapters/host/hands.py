"""The device as commands use it: look at tags, write one value, prove it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import msgspec

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.clock import Clock
from plantops.adapters.host.course import Course
from plantops.adapters.host.execution import aged, is_reached, observed, unreached
from plantops.adapters.host.lanes import Device, Lane, NotSent
from plantops.adapters.host.ports import Observe, nobody_knows
from plantops.adapters.host.standing import Standing
from plantops.events.base import TagName
from plantops.events.command_parts import ObservedInput, StepResult, Write
from plantops.events.tags import SourceDefined
from plantops.runtime.errors import DeviceError, WriteRejected

LOOK_AGAIN_SECONDS = 0.1


class Hands:
    """Looks and writes for one command at a time; each write is sent at most once."""

    def __init__(self, *, definition: SourceDefined, device: Device, observe: Observe, clock: Clock) -> None:
        self.device, self._observe, self._clock = device, observe, clock
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
            samples = await self.device.read([self._places[name] for name in own], lane)
            found |= {name: observed(name, sample) for name, sample in zip(own, samples, strict=True)}
        if seen is not None:
            since = (now() - seen.at).total_seconds()
            found |= {one.tag: aged(one, since) for one in seen.inputs if one.tag in foreign}
        return tuple(found.get(name) or nobody_knows([name])[0] for name in names)

    def has(self, tag: TagName) -> bool:
        """Whether the tag is of this source."""
        return tag in self._places

    def place(self, tag: TagName) -> int:
        """Where the tag stands in the definition."""
        return self._places[tag]

    def encode(self, writes: Sequence[Write]) -> tuple[str, ...]:
        """What would go over the wire. Raises: WriteRejected."""
        return tuple(self.device.encode(self._places[write.tag], write.value) for write in writes)

    async def write(
        self,
        course: Course,
        write: Write,
        before: ObservedInput,
        *,
        standing: Standing,
        void: Callable[[], str],
        lane: Lane,
        started: float,
    ) -> Course:
        """The course with this step in it; without it where nothing was sent.

        `void` is asked last, with the device in hand. In the safe lane a device that is away is waited for
        until then.
        """
        window = course.window_ms

        def guard() -> str:
            nonlocal window
            window = window if course.steps else (self._clock.monotonic() - started) * 1000
            return void()

        step = StepResult(write=write, before=before.value, before_quality=before.quality)
        is_unknown = course.is_unknown
        while True:
            try:
                reason = await self.device.write(self._places[write.tag], write.value, lane, guard)
            except NotSent as error:
                if lane is Lane.SAFE and not (reason := void()):
                    self.device.wanted.set()
                    await self._clock.sleep(LOOK_AGAIN_SECONDS)
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
                step = msgspec.structs.replace(step, written_at=standing.told())
            return replace(course, steps=(*course.steps, step), window_ms=window, is_unknown=is_unknown)

    async def prove(self, place: int, course: Course, standing: Standing, lane: Lane) -> Course:
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
            await self._clock.sleep(min(LOOK_AGAIN_SECONDS, left))
        proved = msgspec.structs.replace(
            step, read_back=found.value if found else None, verified=not problem, problem=problem
        )
        steps = (*course.steps[:place], proved, *course.steps[place + 1 :])
        return replace(course, steps=steps, is_unknown=is_unknown)
