"""Whether the plant still stands as it did in the simulation that a person saw. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from plantops.events.base import Scalar, TagName
from plantops.events.command_parts import Intent, Observation, ObservedInput, Write
from plantops.events.quality import is_bad
from plantops.gate.state import Simulated
from plantops.model.load import Plant
from plantops.policy.arguments import is_writable_down
from plantops.policy.writes import plan_of
from plantops.runtime.errors import Refused


def written_tags(plant: Plant, intent: Intent) -> tuple[TagName, ...]:
    """The tags that an intent would write; none where the model cannot say it."""
    try:
        plan = plan_of(plant, intent.asset, intent.operation, intent.arguments)
        return tuple(write.tag for write in plan.writes)
    except Refused:
        return ()


def moved(
    plant: Plant,
    writes: Sequence[Write],
    simulated: Simulated,
    observation: Observation | None,
    *,
    now: datetime,
    skew_seconds: float,
) -> str:
    """What stands in a written tag and is not what stood there before, in words; empty when nothing is.

    Compared is what the simulation read well: nobody saw the rest. Within the tolerance of the write, or
    the dead band below which its source tells no change, nothing has moved. What is not known now has. The
    simulation reads the device, an observation what its source told last: one from before the simulation
    says nothing of what came after it.
    """
    now_seen = _seen(observation, now, skew_seconds)
    before = {one.tag: one for one in simulated.before}
    if not before:
        return ""
    for write in writes:
        was, seen = before.get(write.tag), now_seen.get(write.tag)
        if was is None or not _is_known(was):
            continue
        if seen is None or not _is_known(seen):
            return f"what stands in {write.tag} is not known now"
        if _is_older(observation, seen, simulated):
            continue
        if not _is_same(was.value, seen.value, _slack(plant, write)):
            return f"{write.tag} is {seen.value!r} now, and was {was.value!r}"
    return ""


def _seen(
    observation: Observation | None, now: datetime, skew_seconds: float
) -> dict[TagName, ObservedInput]:
    if observation is None or observation.at.tzinfo is None:
        return {}
    if not abs((now - observation.at).total_seconds()) <= skew_seconds:
        return {}
    return _once(observation.inputs)


def _once(inputs: Sequence[ObservedInput]) -> dict[TagName, ObservedInput]:
    """By tag; a tag told twice is told not at all."""
    told: dict[TagName, ObservedInput] = {}
    twice: set[TagName] = set()
    for one in inputs:
        if one.tag in told:
            twice.add(one.tag)
        told[one.tag] = one
    return {tag: one for tag, one in told.items() if tag not in twice}


def _is_older(observation: Observation | None, seen: ObservedInput, simulated: Simulated) -> bool:
    """Both are the broker's times: that of the frame that last confirmed the value, and of the dry run.

    An age of 0 is told of all that the observer's clock has not reached yet: it may be news.
    """
    if observation is None or not seen.age_seconds or simulated.at is None:
        return False
    return observation.at - timedelta(seconds=seen.age_seconds) < simulated.at


def _is_known(one: ObservedInput) -> bool:
    return one.value is not None and not is_bad(one.quality) and is_writable_down(one.value)


def _slack(plant: Plant, write: Write) -> float:
    tag = plant.tags.get(write.tag)
    return max(write.tolerance, tag.deadband if tag is not None else 0.0)


def _is_same(was: Scalar | None, seen: Scalar | None, slack: float) -> bool:
    if isinstance(was, str) or isinstance(seen, str) or was is None or seen is None:
        return was == seen
    return abs(seen - was) <= slack
