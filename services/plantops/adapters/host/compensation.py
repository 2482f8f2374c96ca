"""Taking back what was written before a later step failed."""

from __future__ import annotations

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.clock import Clock
from plantops.adapters.host.course import Back, Course
from plantops.adapters.host.hands import Hands
from plantops.adapters.host.lanes import Lane
from plantops.adapters.host.standing import Standing
from plantops.events.command_parts import Write
from plantops.policy.writes import restoring
from plantops.runtime.errors import DeviceError


async def take_back(hands: Hands, course: Course, standing: Standing, clock: Clock) -> Back | None:
    """Write the before-values back, the last written first, each proved before the next; None where
    nothing was written.

    Nothing is taken back from a stop, nor when one of the values is not surely known: half a way back is a
    state that nobody asked for. The first write that is not proved is the last. The permit's time does not
    count, since it may be what ended the command; permissives do not either: what stood there stood there.
    """
    if not course.is_written:
        return None
    undo = restoring(course.steps)
    if not undo:
        return Back(problem="what stood there before was not read well")
    back = Course()
    for write in undo:
        back = await _restore(hands, back, write, standing, clock)
        if back.is_over:
            break
    return Back(back.steps, back.problem, back.is_unknown)


async def _restore(hands: Hands, back: Course, write: Write, standing: Standing, clock: Clock) -> Course:
    started = clock.monotonic()
    try:
        before = (await hands.look([write.tag], Lane.COMMAND, standing.now))[0]
    except (DeviceError, *AWAY) as error:
        return _stopped(back, f"the device cannot be read: {error}")
    if reason := await standing.outrun():
        return _stopped(back, reason)
    back = await hands.write(
        back, write, before, standing=standing, void=standing.taken, lane=Lane.COMMAND, started=started
    )
    if back.is_over and (back.is_unknown or back.stopped or back.steps[-1].written_at is None):
        return back
    return await hands.prove(len(back.steps) - 1, back, standing, Lane.COMMAND)


def _stopped(back: Course, reason: str) -> Course:
    return Course(back.steps, back.decision, back.window_ms, reason, back.is_unknown)
