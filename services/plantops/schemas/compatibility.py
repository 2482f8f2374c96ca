"""Whether a schema still means what its released form meant. Pure; both are JSON Schemas of this package.

Words (title, description, `x-…`) may change. Of what programs see only one thing may: a field may come that
has a default. Everything else is another meaning, and so another version or another type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Json: TypeAlias = Any
Schema: TypeAlias = Mapping[str, Json]

_REFERENCE: Final = "#/$defs/"
# What a value may be, apart from what is looked at one by one.
_LIMITS: Final = (
    "type",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "contentEncoding",
)
_PRESENCE: Final = {True: "required", False: "optional"}
_ABSENT: Final = object()


def changes(released: Schema, now: Schema) -> list[str]:
    """What differs in meaning, each with its place (`steps[].write.value`); empty: they may be exchanged.

    A struct is compared wherever it is used, once for each pair of forms, also when it uses itself.
    """
    return list(dict.fromkeys(_Comparison(released, now).node("", released, now)))


@dataclass(slots=True)
class _Comparison:
    released: Schema
    now: Schema
    seen: set[tuple[str, str]]

    def __init__(self, released: Schema, now: Schema) -> None:
        self.released, self.now, self.seen = released, now, set()

    def node(self, place: str, old: Schema, new: Schema) -> Iterator[str]:
        pair = (old.get("$ref", ""), new.get("$ref", ""))
        if all(pair):
            if pair in self.seen:
                return
            self.seen.add(pair)
        old, new = _resolved(self.released, old), _resolved(self.now, new)
        here = place or "the whole"
        for limit in _LIMITS:
            if old.get(limit) != new.get(limit):
                yield f"{here}: {limit} was {old.get(limit)!r}, is {new.get(limit)!r}"
        yield from _choices(here, old, new)
        yield from self._fields(place, old, new)
        for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
            yield from self._part(place + mark, old.get(key), new.get(key))
        yield from self._row(place, old.get("prefixItems", ()), new.get("prefixItems", ()))
        yield from self._alternatives(here, place, old.get("anyOf", ()), new.get("anyOf", ()))

    def _fields(self, place: str, old: Schema, new: Schema) -> Iterator[str]:
        was, has = old.get("properties", {}), new.get("properties", {})
        for name, schema in was.items():
            field = f"{place}.{name}".removeprefix(".")
            if name not in has:
                yield f"{field}: removed or renamed"
                continue
            yield from self._presence(field, name, old, new)
            yield from _default(field, schema, has[name])
            yield from self.node(field, schema, has[name])
        for name in has.keys() - was.keys():
            if name in new.get("required", ()) or "default" not in has[name]:
                yield f"{f'{place}.{name}'.removeprefix('.')}: new, and without a default"

    def _presence(self, field: str, name: str, old: Schema, new: Schema) -> Iterator[str]:
        was, has = (name in schema.get("required", ()) for schema in (old, new))
        if was != has:
            yield f"{field}: was {_PRESENCE[was]}, is {_PRESENCE[has]}"

    def _part(self, place: str, old: Json, new: Json) -> Iterator[str]:
        if isinstance(old, dict) and isinstance(new, dict):
            yield from self.node(place, old, new)
        elif old != new:
            yield f"{place}: was {old!r}, is {new!r}"

    def _row(self, place: str, old: Json, new: Json) -> Iterator[str]:
        if len(old) != len(new):
            yield f"{place or 'the whole'}: had {len(old)} places, has {len(new)}"
        for index, (was, has) in enumerate(zip(old, new, strict=False)):
            yield from self.node(f"{place}[{index}]", was, has)

    def _alternatives(self, here: str, place: str, old: Json, new: Json) -> Iterator[str]:
        if len(old) != len(new):
            yield f"{here}: could be {len(old)} kinds of value, can be {len(new)}"
            return
        for was, has in zip(old, new, strict=True):
            yield from self.node(place, was, has)


def _resolved(document: Schema, node: Schema) -> Schema:
    """The struct that a reference names. A reference to the document itself is the document."""
    reference = node.get("$ref")
    if reference is None:
        return node
    found: Schema = document["$defs"][reference.removeprefix(_REFERENCE)]
    return found


def _choices(here: str, old: Schema, new: Schema) -> Iterator[str]:
    was, has = set(old.get("enum", ())), set(new.get("enum", ()))
    if here == "type" or here.endswith(".type"):
        if was != has:
            yield f"{here}: the type string was {sorted(was)}, is {sorted(has)}"
        return
    for value in sorted(was - has, key=str):
        yield f"{here}: the value {value!r} is gone"
    for value in sorted(has - was, key=str):
        yield f"{here}: the value {value!r} is new, and older readers refuse it"


def _default(field: str, old: Schema, new: Schema) -> Iterator[str]:
    was, has = old.get("default", _ABSENT), new.get("default", _ABSENT)
    if was is not _ABSENT and has is not _ABSENT and not _same(was, has):
        yield f"{field}: the default was {was!r}, is {has!r}"


def _same(was: Json, has: Json) -> bool:
    """Equal as JSON: 1 and 1.0 are, 1 and true are not."""
    return isinstance(was, bool) == isinstance(has, bool) and bool(was == has)
