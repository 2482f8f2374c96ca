"""Whether a model fits the tags that its sources really have. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from plantops.events.base import Scalar, SourceName, TagName, is_token
from plantops.events.tags import Kind, SourceDefined, TagDefinition
from plantops.model.assets import Argument, ArgumentType, Asset, Delegate, Model, Operation, Step
from plantops.runtime.errors import SettingsError

_UNDO_OPERATION = "operation:"
# Names that begin so are acts of the gate (`policy.acts`), which knows the model and is not known by it.
_ACT = "act-"
_MAX_DELEGATE_SECONDS = 3600.0
_KINDS: Mapping[ArgumentType, tuple[Kind, ...]] = {
    "number": ("f8",),
    "integer": ("f8", "i8", "u8"),
    "boolean": ("b1",),
    "string": ("s",),
}


def tag_index(definitions: Iterable[SourceDefined]) -> dict[TagName, TagDefinition]:
    """Every tag by name. Raises: SettingsError when a source or a tag is there twice."""
    index: dict[TagName, TagDefinition] = {}
    owners: dict[TagName, SourceName] = {}
    seen: set[SourceName] = set()
    for definition in definitions:
        if definition.source in seen:
            raise SettingsError(f"source {definition.source!r} is defined twice: remove one", setting="name")
        seen.add(definition.source)
        for tag in definition.tags:
            if tag.name in owners:
                raise SettingsError(
                    f"tag {tag.name!r} is in source {owners[tag.name]!r} and in {definition.source!r}:"
                    " rename one, a tag has one source",
                    setting="tags",
                )
            owners[tag.name] = definition.source
            index[tag.name] = tag
    return index


def argument_of(value: Scalar) -> str | None:
    """The argument that a step's value stands for (`$NAME`); None for a value that is meant as it is."""
    return value[1:] if isinstance(value, str) and value.startswith("$") else None


def undo_operation(undo: str) -> str | None:
    """The operation that `undo = "operation:NAME"` names."""
    return undo.removeprefix(_UNDO_OPERATION) if undo.startswith(_UNDO_OPERATION) else None


def check_bound_model(
    model: Model,
    sources: Mapping[TagName, SourceName],
    tags: Mapping[TagName, TagDefinition],
    names: frozenset[SourceName],
) -> None:
    """`names` are all sources, also those without a tag, which may carry out operations.

    Raises: SettingsError at the first thing that is wrong, in the order of the file.
    """
    for name, asset in model.assets.items():
        _Checker(name, asset, sources, tags, names).check()


@dataclass(frozen=True, slots=True)
class _Checker:
    name: str
    asset: Asset
    sources: Mapping[TagName, SourceName]
    tags: Mapping[TagName, TagDefinition]
    names: frozenset[SourceName]

    def check(self) -> None:
        self._token("", "asset", self.name)
        for name, property_ in self.asset.properties.items():
            place = f"properties.{name}"
            self._token(place, "property", name)
            tag = self.tags.get(property_.tag)
            if tag is None:
                self._wrong(f"{place}.tag", f"no source has the tag {property_.tag!r}: check its spelling")
            if property_.unit and tag.unit and property_.unit != tag.unit:
                self._wrong(
                    f"{place}.unit", f"is {property_.unit!r}, but tag {tag.name!r} is in {tag.unit!r}"
                )
        for name, operation in self.asset.operations.items():
            self._token(f"operations.{name}", "operation", name)
            if name.startswith(_ACT):
                self._wrong(f"operations.{name}", f"names that begin with {_ACT!r} are acts: take another")
            self._operation(f"operations.{name}", operation)

    def _operation(self, place: str, operation: Operation) -> None:
        for name, argument in operation.arguments.items():
            self._token(f"{place}.arguments.{name}", "argument", name)
            self._argument(f"{place}.arguments.{name}", argument)
        self._doer(place, operation)
        for number, step in enumerate(operation.steps):
            self._step(f"{place}.steps[{number}]", step, operation)
        if len(self._sources_of(operation)) > 1:
            names = ", ".join(sorted(self._sources_of(operation)))
            self._wrong(f"{place}.steps", f"write to the sources {names}: one operation writes to one source")
        for number, required in enumerate(operation.requires):
            key = f"{place}.requires[{number}]"
            tag = self._tag(f"{key}.property", required.property)
            self._fits(f"{key}.equals", required.equals, tag)
        self._undo(f"{place}.undo", operation)

    def _doer(self, place: str, operation: Operation) -> None:
        """Either steps or a delegate, and each of them where it can be."""
        if not operation.steps and operation.delegate is None:
            self._wrong(f"{place}.steps", "has no step: say what is to be written, or name a delegate")
        if operation.steps and operation.delegate is not None:
            self._wrong(f"{place}.delegate", "stands beside steps: keep one of the two")
        if operation.compensate == "restore" and not operation.steps:
            self._wrong(f"{place}.compensate", "restores what steps wrote, and there is none: remove it")
        if operation.delegate is not None:
            self._delegate(f"{place}.delegate", operation.delegate)
        if operation.simulator is not None:
            self._delegate(f"{place}.simulator", operation.simulator)
            doers = self._sources_of(operation)
            if operation.delegate is not None:
                doers = {SourceName(operation.delegate.source)}
            if operation.simulator.source in doers:
                text = f"{operation.simulator.source!r} carries the operation out, and is asked anyway: "
                self._wrong(f"{place}.simulator.source", f"{text}name another source")

    def _delegate(self, place: str, delegate: Delegate) -> None:
        if delegate.source not in self.names:
            self._wrong(f"{place}.source", f"there is no source {delegate.source!r}: check its spelling")
        if not delegate.path:
            self._wrong(f"{place}.path", "is empty: say which operation is meant there")
        if not 0 < delegate.timeout_seconds <= _MAX_DELEGATE_SECONDS:
            text = f"is {delegate.timeout_seconds}: use more than 0, at most {_MAX_DELEGATE_SECONDS:g}"
            self._wrong(f"{place}.timeout_seconds", text)

    def _argument(self, place: str, argument: Argument) -> None:
        numeric = argument.type in ("number", "integer")
        for key, bound in (("low", argument.low), ("high", argument.high)):
            if bound is not None and not numeric:
                self._wrong(f"{place}.{key}", f"bounds an argument of type {argument.type}: remove it")
            if bound is not None and not math.isfinite(bound):
                self._wrong(f"{place}.{key}", f"is {bound}: give a finite number")
        if argument.low is not None and argument.high is not None and argument.low > argument.high:
            self._wrong(f"{place}.low", f"{argument.low} is above high, {argument.high}")
        for choice in argument.choices:
            if not is_of_type(choice, argument.type):
                self._wrong(f"{place}.choices", f"{choice!r} is not of type {argument.type}")

    def _step(self, place: str, step: Step, operation: Operation) -> None:
        tag = self._tag(f"{place}.property", step.property)
        if not tag.writable:
            self._wrong(f"{place}.property", f"{step.property!r}: its tag {tag.name!r} is not writable")
        name = argument_of(step.value)
        if name is None:
            self._fits(f"{place}.value", step.value, tag)
        elif name not in operation.arguments:
            self._wrong(f"{place}.value", f"${name} is no argument of this operation")
        elif tag.kind not in _KINDS[operation.arguments[name].type]:
            kind = operation.arguments[name].type
            self._wrong(f"{place}.value", f"${name} is of type {kind}, its tag {tag.name!r} is {tag.kind}")
        verify = step.verify
        if verify.kind == "feedback":
            feedback = self._tag(f"{place}.verify.property", verify.property)
            if (feedback.kind in ("b1", "s") or tag.kind in ("b1", "s")) and feedback.kind != tag.kind:
                self._wrong(f"{place}.verify.property", f"is {feedback.kind}, what is written is {tag.kind}")
        elif verify.property:
            self._wrong(f"{place}.verify.property", f"is not used by kind {verify.kind!r}: remove it")
        for key, number in (("tolerance", verify.tolerance), ("settle_seconds", verify.settle_seconds)):
            if not 0 <= number < math.inf:
                self._wrong(f"{place}.verify.{key}", f"is {number}: give a finite number, 0 or more")

    def _undo(self, place: str, operation: Operation) -> None:
        if operation.undo == "none":
            return
        if operation.delegate is not None:
            text = f"is {operation.undo!r}, but nothing that a delegate did is known here: use 'none'"
            self._wrong(place, text)
        if operation.undo == "restore":
            return
        name = undo_operation(operation.undo)
        if name is None:
            self._wrong(place, f"is {operation.undo!r}, wanted 'none', 'restore' or 'operation:NAME'")
        other = self.asset.operations.get(name)
        if other is None:
            self._wrong(place, f"names the operation {name!r}, which this asset does not have")
        if other.delegate is not None:
            self._wrong(place, f"{name!r} is carried out by a delegate and writes nothing: use 'restore'")
        if any(argument_of(step.value) is not None for step in other.steps):
            self._wrong(place, f"{name!r} takes arguments, an undo has none to give: use 'restore'")
        if self._sources_of(other) != self._sources_of(operation):
            self._wrong(place, f"{name!r} writes to another source")

    def _sources_of(self, operation: Operation) -> set[SourceName]:
        # A step whose property is missing is reported where its own operation is checked.
        found = (self.asset.properties.get(step.property) for step in operation.steps)
        return {self.sources[each.tag] for each in found if each is not None and each.tag in self.sources}

    def _tag(self, place: str, name: str) -> TagDefinition:
        property_ = self.asset.properties.get(name)
        if property_ is None:
            self._wrong(place, f"{name!r} is no property of this asset")
        return self.tags[property_.tag]

    def _fits(self, place: str, value: Scalar, tag: TagDefinition) -> None:
        if not _fits_kind(value, tag.kind):
            self._wrong(place, f"{value!r} does not fit tag {tag.name!r}, which is {tag.kind}")

    def _token(self, place: str, what: str, name: str) -> None:
        if not is_token(name):
            self._wrong(place, f"{what} name {name!r}: use 1 to 64 letters, digits, '-' and '_' only")

    def _wrong(self, place: str, problem: str) -> NoReturn:
        key = ".".join(part for part in ("assets", self.name, place) if part)
        raise SettingsError(f"{key}: {problem}", setting=key)


def is_of_type(value: Scalar, kind: ArgumentType) -> bool:
    """Whether `value` is of an argument's type: a bool is no number, nor is what is not finite."""
    match kind:
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and (isinstance(value, int) or math.isfinite(value))
            )


def _fits_kind(value: Scalar, kind: Kind) -> bool:
    match kind:
        case "b1":
            return isinstance(value, bool)
        case "s":
            return isinstance(value, str)
        case "f8":
            return is_of_type(value, "number")
        case "i8":
            return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        case "u8":
            return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64
