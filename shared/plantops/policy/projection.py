"""The plant as it would be after a write, so that a simulation can judge it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from plantops.events.base import Scalar, TagName
from plantops.events.command_parts import ObservedInput, Write
from plantops.events.quality import Quality


def project(inputs: Iterable[ObservedInput], writes: Sequence[Write]) -> tuple[ObservedInput, ...]:
    """The inputs with every written tag, and the feedback that proves it, at the value to be written.

    Projected inputs are good and fresh, have no place in the log, and say so in `note`. The order is kept;
    what was written but not observed follows in the order of the writes.
    """
    values: dict[TagName, Scalar] = {}
    for write in writes:
        values[write.tag] = write.value
        if write.verify == "feedback":
            values[write.feedback] = write.value
    kept = [_projected(one.tag, values.pop(one.tag)) if one.tag in values else one for one in inputs]
    return (*kept, *(_projected(tag, value) for tag, value in values.items()))


def _projected(tag: TagName, value: Scalar) -> ObservedInput:
    return ObservedInput(tag=tag, value=value, quality=Quality.GOOD, age_seconds=0.0, note="projected")
