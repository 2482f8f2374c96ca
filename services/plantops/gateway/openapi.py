"""`/openapi.json` as exact as the structs are: schemas by msgspec, and every error that can be answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

from plantops.gateway.problems import ErrorBody

Json: TypeAlias = dict[str, Any]

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


class PreciseJson(JsonRenderPlugin):
    """Renders the document once, made exact by `precise`."""

    def __init__(self, *, path: str, structs: Callable[[], Iterable[type]]) -> None:
        super().__init__(path=path)
        self._structs = structs
        self._rendered: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: Json) -> bytes:
        if self._rendered is None:
            plain = msgspec.json.decode(self.render_json(request, openapi_schema))
            self._rendered = msgspec.json.encode(precise(plain, self._structs()))
        return self._rendered


def precise(document: Json, structs: Iterable[type]) -> Json:
    """`document` with the schemas of `structs` as msgspec tells them, and the errors of each operation.

    Litestar writes `oneOf` where several may fit (an integer is a number, too), and does not tell that an
    unknown name is refused.
    """
    _schemas, components = msgspec.json.schema_components(
        [*structs, ErrorBody], ref_template=_REFERENCE, schema_hook=None
    )
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
