"""Reading the body of a request: strictly, by the struct that stands in `/openapi.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

import msgspec
from litestar import Request
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

from plantops.gateway.problems import HttpProblem

AnyRequest: TypeAlias = Request[Any, Any, Any]
T = TypeVar("T", bound=msgspec.Struct)

JSON: Final = "application/json"
_MISSING: Final = "missing required field `"


async def read_body(request: AnyRequest, kind: type[T]) -> T:
    """The body as `kind`. Raises: HttpProblem 400 (`invalid_json`, `missing_field`, `bad_request`), 415."""
    data = await request.body()
    if content_type(request) != JSON:
        raise unsupported(JSON)
    return decoded(data, kind)


async def read_optional(request: AnyRequest, kind: type[T]) -> T:
    """As `read_body`; nothing at all is the struct's defaults."""
    if not await request.body():
        return kind()
    return await read_body(request, kind)


def content_type(request: AnyRequest) -> str:
    """The media type without its parameters, in lower case."""
    return str(request.headers.get("content-type", "")).partition(";")[0].strip().lower()


def unsupported(*wanted: str) -> HttpProblem:
    """415. A browser sends other types without asking first, so nothing else is read as JSON."""
    text = f"send this as Content-Type: {' or '.join(wanted)}"
    return HttpProblem(415, "unsupported_media_type", text, headers={"Accept": ", ".join(wanted)})


def decoded(data: bytes, kind: type[T]) -> T:
    """`data` as `kind`. Raises: HttpProblem."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        text = str(error)
        if _MISSING in text and text.endswith("`"):
            field = text.split("`")[1]
            raise HttpProblem(
                400, "missing_field", f"Missing {field!r} field", details={"field": field}
            ) from error
        raise HttpProblem(400, "bad_request", text) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HttpProblem(400, "invalid_json", f"the body is no JSON: {error}") from error


def taking(
    kind: type[msgspec.Struct] | None, *, required: bool = True, also: Mapping[str, str] | None = None
) -> type[Operation]:
    """The `operation_class` of a route that reads its body itself: so that it stands in the document.

    `also` are further media types with what they hold, opaque to the document.
    """
    content: dict[str, OpenAPIMediaType] = {}
    if kind is not None:
        content[JSON] = OpenAPIMediaType(schema=Reference(ref=f"#/components/schemas/{kind.__name__}"))
    for media_type, text in (also or {}).items():
        schema = Schema(type=OpenAPIType.OBJECT, description=text)
        content[media_type] = OpenAPIMediaType(schema=schema)

    @dataclasses.dataclass
    class Taking(Operation):
        body: ClassVar[type[msgspec.Struct] | None] = kind

        def __post_init__(self) -> None:
            self.request_body = RequestBody(content=content, required=required)

    return Taking


def body_of(operation: type[Operation]) -> type[msgspec.Struct] | None:
    """The struct that `taking` was given."""
    return getattr(operation, "body", None)
