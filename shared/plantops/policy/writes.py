"""What an operation writes, and what takes it back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from plantops.events.base import Scalar, SourceName, TagName
from plantops.events.command_parts import Invocation, StepResult, Write
from plantops.events.quality import is_good
from plantops.model.assets import Argument, Delegate, Operation, Step
from plantops.model.check import argument_of, undo_operation
from plantops.model.load import Plant
from plantops.runtime.errors import Refused


@dataclass(frozen=True, slots=True)
class Plan:
    """What `source` has to do for an operation: either `writes` in their order, or an `invocation`."""

    source: SourceName
    writes: tuple[Write, ...] = ()
    invocation: Invocation | None = None


def plan_of(plant: Plant, asset: str, operation: str, arguments: Mapping[str, Scalar]) -> Plan:
    """What carries the operation out; arguments are taken as judged.

    Raises: Refused for an operation that the model does not have, or an argument that is missing.
    """
    found = _operation(plant, asset, operation)
    if found.delegate is not None:
        return _invocation(found.delegate, asset, found, arguments)
    writes = tuple(_write(plant, asset, step, arguments) for step in found.steps)
    if not writes:
        raise Refused(f"{asset}.{operation} writes nothing: correct the model", reason="unknown_operation")
    return Plan(plant.sources[writes[0].tag], writes)


def simulator_of(plant: Plant, asset: str, operation: str, arguments: Mapping[str, Scalar]) -> Plan | None:
    """What the operation's external simulator is asked; None where it has none. Raises: Refused."""
    found = _operation(plant, asset, operation)
    return None if found.simulator is None else _invocation(found.simulator, asset, found, arguments)


def _operation(plant: Plant, asset: str, operation: str) -> Operation:
    found = plant.operation(asset, operation)
    if found is None:
        raise Refused(f"the model has no operation {asset}.{operation}", reason="unknown_operation")
    return found


def _invocation(who: Delegate, asset: str, operation: Operation, arguments: Mapping[str, Scalar]) -> Plan:
    for name in operation.arguments:
        if name not in arguments:
            _missing(asset, name)
    given = {name: _as_stated(argument, arguments[name]) for name, argument in operation.arguments.items()}
    return Plan(
        SourceName(who.source),
        invocation=Invocation(path=who.path, arguments=given, timeout_seconds=who.timeout_seconds),
    )


def _as_stated(argument: Argument, value: Scalar) -> Scalar:
    """A whole number for an argument that takes any number goes out as one with a point: a delegate may
    know them as two types."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if argument.type == "number" and is_whole else value


def undo_of(plant: Plant, asset: str, operation: str, results: Sequence[StepResult]) -> tuple[Write, ...]:
    """The writes that take back what `results` say was written; empty where there is no sure way back.

    `restore` writes the before-values in reverse order. If one of them was not read well, nothing is
    restored: half a way back is a state that nobody asked for. What a delegate did has no way back here.
    """
    found = plant.operation(asset, operation)
    if found is None or not any(result.written_at for result in results):
        return ()
    if found.undo == "restore":
        return restoring(results)
    other = undo_operation(found.undo)
    return () if other is None else plan_of(plant, asset, other, {}).writes


def restoring(results: Sequence[StepResult]) -> tuple[Write, ...]:
    """The before-values of what was written, the last written first; empty when one was not read well."""
    undo: list[Write] = []
    for result in reversed([result for result in results if result.written_at is not None]):
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
