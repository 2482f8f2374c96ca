"""What the plant is: assets, their properties bound to tags, their operations. Pure structs.

The file form is TOML (`model.load`); the digest of the whole model and of all source definitions is
pinned by the policy, because bindings, direction and risk decide what a command does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import msgspec

from plantops.events.base import Digest, Scalar, TagName
from plantops.events.command_parts import Risk
from plantops.events.tags import SourceDefined, layout_of

ArgumentType: TypeAlias = Literal["number", "integer", "boolean", "string"]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A piece of the model file: unknown keys are refused."""


class Property(Settings, frozen=True):
    """A property of an asset: the value of one tag."""

    tag: TagName
    unit: str = ""
    description: str = ""
    semantic_id: str = ""


class Argument(Settings, frozen=True):
    """One typed argument, checked before anything else. Bounds are inclusive, in `unit`."""

    type: ArgumentType
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[Scalar, ...] = ()
    description: str = ""


class Verify(Settings, frozen=True):
    """How a write is proved.

    `echo`: the written tag reads back equal within `tolerance`. `feedback`: `property` comes within
    `tolerance` of the value in at most `settle_seconds`. `none`: nothing can be read back.
    """

    kind: Literal["echo", "feedback", "none"] = "echo"
    property: str = ""
    tolerance: float = 0.0
    settle_seconds: float = 0.0


class Step(Settings, frozen=True):
    """Write `value` to `property`; the text `$NAME` stands for the argument NAME."""

    property: str
    value: Scalar
    verify: Verify = Verify()


class Requirement(Settings, frozen=True):
    """A mode precondition: `property` must equal `equals`; an unknown value denies."""

    property: str
    equals: Scalar
    text: str = ""


class Delegate(Settings, frozen=True):
    """Who carries an operation out instead of steps: a source whose adapter can invoke, and where there."""

    source: str
    path: str
    timeout_seconds: float = 30.0


class Operation(Settings, frozen=True):
    """Something that can be asked of an asset: either `steps`, or a `delegate` that carries it out.

    A missing `risk` is the highest. `undo`: `restore` writes the before-values back, a text
    `operation:NAME` names the operation that undoes it, `none` says that there is no way back.
    `compensate`: when a step fails, `restore` takes the steps before it back. `simulator` names who is asked
    beside the executor what would happen; without its answer nothing is simulated.
    """

    description: str = ""
    risk: Risk | None = None
    arguments: dict[str, Argument] = {}
    steps: tuple[Step, ...] = ()
    requires: tuple[Requirement, ...] = ()
    undo: str = "none"
    compensate: Literal["none", "restore"] = "none"
    delegate: Delegate | None = None
    simulator: Delegate | None = None


class Asset(Settings, frozen=True):
    """One asset with its properties and operations by name."""

    description: str = ""
    id: str = ""
    properties: dict[str, Property] = {}
    operations: dict[str, Operation] = {}


class Model(Settings, frozen=True):
    """All assets of a site."""

    assets: dict[str, Asset] = {}


def model_digest(model: Model, definitions: Iterable[SourceDefined]) -> Digest:
    """SHA-256 over the model and the layouts of all sources, in the order of their names.

    A model that says nothing of what came later into this file keeps the digest that policies pin.
    """
    layouts = sorted((definition.source, layout_of(definition)) for definition in definitions)
    return Digest(hashlib.sha256(msgspec.json.encode([plain_model(model), layouts])).hexdigest())


def plain_model(model: Model) -> dict[str, Any]:
    """The model as its digest sees it: names of assets, properties and operations in order, and what came
    later into operations left out where they do not use it."""
    plain: dict[str, Any] = msgspec.to_builtins(model, order="deterministic")
    for asset in plain["assets"].values():
        for operation in asset["operations"].values():
            for name, silent in _CAME_LATER.items():
                if operation[name] == silent:
                    del operation[name]
    return plain


_CAME_LATER: Mapping[str, object] = MappingProxyType(
    {"compensate": "none", "delegate": None, "simulator": None}
)
