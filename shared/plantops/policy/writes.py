"""What an operation writes, and what takes it back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from plantops.events.base import Scalar, SourceName, TagName
from plantops.events.command_parts import StepResult, Write
from plantops.events.quality import is_good
from plantops.model.assets import Step
from plantops.model.check import argument_of, undo_operation
from plantops.model.load import Plant
from plantops.runtime.errors import Refused


def writes_of(
    plant: Plant, asset: str, operation: str, arguments: Mapping[str, Scalar]
) -> tuple[SourceName, tuple[Write, ...]]:
    """The source and the writes in the order of the steps; arguments are taken as judged.

    Raises: Refused for an operation that the model does not have, or an argument that is missing.
    """
    found = plant.operation(asset, operation)
    if found is None:
        raise Refused(f"the model has no operation {asset}.{operation}", reason="unknown_operation")
    writes = tuple(_write(plant, asset, step, arguments) for step in found.steps)
    return plant.sources[writes[0].tag], writes


def undo_of(plant: Plant, asset: str, operation: str, results: Sequence[StepResult]) -> tuple[Write, ...]:
    """The writes that take back what `results` say was written; empty where there is no sure way back.

    `restore` writes the before-values in reverse order. If one of them was not read well, nothing is
    restored: half a way back is a state that nobody asked for.
    """
    found = plant.operation(asset, operation)
    if found is None or not any(result.written_at for result in results):
        return ()
    if found.undo == "restore":
        return _restore([result for result in results if result.written_at is not None])
    other = undo_operation(found.undo)
    return () if other is None else writes_of(plant, asset, other, {})[1]


def _restore(written: Sequence[StepResult]) -> tuple[Write, ...]:
    undo: list[Write] = []
    for result in reversed(written):
        if result.before is None or not is_good(result.before_quality):
            return ()
        write = result.write
        undo.append(
            Write(
                tag=write.tag,
                value=result.before,
                verify=write.verify,
                feedback=write.feedback,
                tolerance=write.tolerance,
                settle_seconds=write.settle_seconds,
            )
        )
    return tuple(undo)


def _write(plant: Plant, asset: str, step: Step, arguments: Mapping[str, Scalar]) -> Write:
    name = argument_of(step.value)
    if name is not None and name not in arguments:
        _missing(asset, name)
    verify = step.verify
    feedback = _tag(plant, asset, verify.property) if verify.kind == "feedback" else TagName("")
    return Write(
        tag=_tag(plant, asset, step.property),
        value=step.value if name is None else arguments[name],
        verify=verify.kind,
        feedback=feedback,
        tolerance=verify.tolerance,
        settle_seconds=verify.settle_seconds,
    )


def _tag(plant: Plant, asset: str, property_: str) -> TagName:
    return plant.properties[f"{asset}.{property_}"].tag


def _missing(asset: str, name: str) -> NoReturn:
    raise Refused(f"an operation of {asset} needs the argument {name!r}: give it", reason="missing_argument")
