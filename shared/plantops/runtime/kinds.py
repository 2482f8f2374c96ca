"""What may stand at a place of a settings struct, as msgspec describes its types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import inspect

from plantops.runtime.toml_lines import Place

_SECRET = "secret"  # noqa: S105 - the mark itself

SecretReference: TypeAlias = Annotated[str, msgspec.Meta(extra={_SECRET: True})]
"""Names a secret (`secret:NAME`, `file:PATH`, `env:NAME`); whoever prints settings shows nothing else."""


def is_secret(kind: inspect.Type) -> bool:
    """Whether what stands here is a `SecretReference`."""
    return isinstance(kind, inspect.Metadata) and bool((kind.extra or {}).get(_SECRET))


def kinds(type_: Any, place: Place) -> list[inspect.Type]:
    """The types that may stand at `place`."""
    found = list(alternatives(inspect.type_info(type_)))
    for step in place:
        found = [deeper for kind in found for inner in _inside(kind, step) for deeper in alternatives(inner)]
    return found


def alternatives(kind: inspect.Type) -> Iterator[inspect.Type]:
    """The members of a union, or the type itself; without what is only said beside it."""
    if isinstance(kind, inspect.Metadata):
        yield from alternatives(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from alternatives(each)
    else:
        yield kind


def _inside(kind: inspect.Type, step: str | int) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.StructType | inspect.DataclassType):
        yield from (field.type for field in kind.fields if field.encode_name == step)
    elif isinstance(kind, inspect.DictType):
        yield kind.value_type
    elif isinstance(kind, inspect.TupleType):
        yield from kind.item_types[int(step) : int(step) + 1]
    elif isinstance(kind, inspect.CollectionType):
        yield kind.item_type


def names(kind: inspect.Type) -> tuple[str, ...]:
    """The keys of a table; none where any key may stand."""
    if isinstance(kind, inspect.StructType | inspect.DataclassType):
        return tuple(field.encode_name for field in kind.fields)
    return ()


def choices(kind: inspect.Type) -> tuple[Any, ...]:
    """The only values that may stand here; none where there are others."""
    if isinstance(kind, inspect.LiteralType):
        return tuple(kind.values)
    return tuple(member.value for member in kind.cls) if isinstance(kind, inspect.EnumType) else ()
