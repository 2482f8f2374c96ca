"""`/openapi.json` as exact as the structs are: schemas by msgspec, and every error that can be answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias, get_args

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from plantops.gateway.bodies import body_of
from plantops.gateway.problems import ErrorBody

Json: TypeAlias = dict[str, Any]

_KEPT: Final = "openapi_document"
_REFERENCE: Final = "#/components/schemas/{name}"
_ERROR: Final[Json] = {"application/json": {"schema": {"$ref": _REFERENCE.format(name="ErrorBody")}}}
# Which errors any operation may answer; what needs no caller leaves out the first two.
_ALWAYS: Final[Mapping[str, str]] = {
    "400": "Something in the request is wrong; the message says what.",
    "401": "Nobody is told by these credentials, or there are none.",
    "403": "The policy or the gate says no.",
    "404": "There is nothing by this name.",
    "405": "This address takes other methods; `Allow` says which.",
    "408": "The request came too slowly.",
    "409": "It conflicts with what was said before.",
    "413": "The request is too large.",
    "415": "The body is of a type that is not read here.",
    "429": "Too much in too little time; `Retry-After` says when to come again.",
    "431": "The headers are too large.",
    "500": "An error of the gateway; its log says more.",
    "503": "Something that is asked here is away, or the gateway stops.",
    "504": "No answer in time; whether it was done is not known.",
}
_METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "options", "trace")


def rendered(app: Litestar) -> bytes:
    """The document's bytes, made once."""
    found: bytes | None = app.state.get(_KEPT)
    if found is None:
        found = app.state[_KEPT] = msgspec.json.encode(document_of(app))
    return found


def document_of(app: Litestar) -> Json:
    """The whole document of an application, made exact by `precise`."""
    plain: Json = msgspec.json.decode(msgspec.json.encode(app.openapi_schema.to_schema()))
    return precise(plain, structs_of(app))


def structs_of(app: Litestar) -> tuple[type, ...]:
    """Every struct that a route of the document takes or answers."""
    found: dict[type, None] = {ErrorBody: None}
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            if handler.resolve_include_in_schema():
                kinds = [handler.parsed_fn_signature.return_type.annotation, body_of(handler.operation_class)]
                kinds += [spec.data_container for spec in (handler.responses or {}).values()]
                for kind in kinds:
                    found.update(dict.fromkeys(_structs(kind)))
    return tuple(found)


def _structs(kind: Any) -> Iterator[type]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for inner in get_args(kind):
        yield from _structs(inner)


def precise(document: Json, structs: Iterable[type]) -> Json:
    """`document` with the schemas of `structs` as msgspec tells them, and the errors of each operation.

    Litestar writes `oneOf` where several may fit (an integer is a number, too), and does not tell that an
    unknown name is refused.
    """
    _schemas, components = msgspec.json.schema_components(structs, ref_template=_REFERENCE)
    told = document.setdefault("components", {}).setdefault("schemas", {})
    told.update(components)
    for path in document.get("paths", {}).values():
        for method in _METHODS:
            if method in path:
                _tell_errors(path[method])
    loosened: Json = _loosened(document)
    return loosened


def _tell_errors(operation: Json) -> None:
    responses: Json = operation.setdefault("responses", {})
    for status, text in _ALWAYS.items():
        found = responses.setdefault(status, {"description": text})
        found["content"] = _ERROR
    responses.pop("422", None)


def _loosened(node: Any) -> Any:
    if isinstance(node, dict):
        return {("anyOf" if key == "oneOf" else key): _loosened(value) for key, value in node.items()}
    return [_loosened(each) for each in node] if isinstance(node, list) else node
