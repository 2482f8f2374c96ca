"""JSON Schema (draft 2020-12) of one struct, as a document of its own."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from plantops.events import ALL_TYPES
from plantops.events.envelope import MSGPACK
from plantops.policy.speakers import SPEAKERS
from plantops.schemas.catalogue import Documented

Json: TypeAlias = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Final = "#/$defs/"
_MSGPACK_NOTE: Final = (
    "The wire form is MessagePack: a map with these names as keys, the key `type` among them, in any order. "
    "A string with `contentEncoding: base64` in this schema is raw bytes there (the bin family); `columns` "
    "is an array of arrays. Numbers in `index`, `values` and `source_time` are packed little-endian."
)


def schema_of(entry: Documented) -> Json:
    """The whole document as plain JSON values, with every struct that it uses under `$defs`."""
    (reference,), components = msgspec.json.schema_components(
        (_schemable(entry.struct),), ref_template=_REFERENCE + "{name}"
    )
    name = reference["$ref"].removeprefix(_REFERENCE)
    kinds = {kind.__name__: kind for kind in _structs(entry.struct)}
    for key, component in components.items():
        _complete(component, kinds.get(key))
    own = components[name]
    if not _uses(components.values(), name):
        del components[name]
    document: Json = {"$schema": DIALECT, "$id": entry.urn}
    document |= own | {"title": entry.name if entry.area == "events" else own["title"]}
    if entry.content == MSGPACK:
        document["description"] += f"\n\n{_MSGPACK_NOTE}"
        document["x-content-type"] = MSGPACK
    if entry.signed_as:
        document["x-dsse-payload-type"] = entry.signed_as
    if entry.area == "events" and entry.name in ALL_TYPES:
        document["x-signer-role"] = SPEAKERS[entry.name].role or None
    if components:
        document["$defs"] = dict(sorted(components.items()))
    plain: Json = msgspec.json.decode(msgspec.json.encode(document))
    return plain


def _schemable(struct: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The struct itself, or its likeness with any JSON value where it keeps raw bytes of JSON."""
    fields = msgspec.structs.fields(struct)
    if all(field.type is not msgspec.Raw for field in fields):
        return struct
    likeness: list[Any] = []
    for field in fields:
        kind = Any if field.type is msgspec.Raw else field.type
        default = msgspec.json.decode(field.default) if kind is Any else field.default
        likeness.append((field.name, kind) if field.required else (field.name, kind, default))
    namespace = {"__doc__": struct.__doc__}
    return msgspec.defstruct(struct.__name__, likeness, namespace=namespace, kw_only=True)


def _structs(struct: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    """The struct and all that it is made of, each once."""
    found: list[type[msgspec.Struct]] = [struct]
    for kind in found:
        yield kind
        for field in msgspec.structs.fields(kind):
            found += [part for part in _parts(field.type) if part not in found]


def _parts(kind: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for part in getattr(kind, "__args__", ()):
        yield from _parts(part)


def _complete(component: Json, struct: type[msgspec.Struct] | None) -> None:
    """Docstrings without their indentation; times marked as such, which msgspec leaves out."""
    if "description" in component:
        component["description"] = inspect.cleandoc(component["description"])
    if struct is None or "properties" not in component:
        return
    for field in msgspec.inspect.type_info(struct).fields:  # type: ignore[attr-defined]  # a struct has them
        _mark_times(component["properties"][field.encode_name], field.type)


def _mark_times(schema: Json, kind: msgspec.inspect.Type) -> None:
    match kind:
        case msgspec.inspect.DateTimeType():
            schema["format"] = "date-time"
        case msgspec.inspect.UnionType() if any(
            isinstance(one, msgspec.inspect.DateTimeType) for one in kind.types
        ):
            for one in schema["anyOf"]:
                if one.get("type") == "string":
                    one["format"] = "date-time"
        case _:
            pass


def _uses(components: Iterable[Any], name: str) -> bool:
    """Whether some schema refers to the component itself."""
    for node in components:
        if isinstance(node, dict):
            if node.get("$ref") == _REFERENCE + name or _uses(node.values(), name):
                return True
        elif isinstance(node, list) and _uses(node, name):
            return True
    return False
