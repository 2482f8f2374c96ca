"""The trace of one HTTP request: gone on with where the caller has one, begun where he has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plantops.gateway.requests import Asked
from plantops.runtime.tracing import SPANS, begun, carried, is_traceparent

if TYPE_CHECKING:
    from opentelemetry.trace import Span


@dataclass
class RequestSpan:
    """The span of one request; nothing where nobody collects them."""

    span: Span | None

    def end(self, route: str, status: int, request: str) -> None:
        """Say what came of it, by the semantic conventions for HTTP."""
        if self.span is None:
            return
        attributes: dict[str, Any] = {
            "http.route": route,
            "http.response.status_code": status,
            "plantops.request": request,
        }
        self.span.set_attributes(attributes)


@contextmanager
def traced(asked: Asked) -> Iterator[RequestSpan]:
    """What is done in the block carries the trace on, to services and doors too."""
    given = asked.header("traceparent")
    with carried(given if is_traceparent(given) else ""):
        with SPANS.span(f"HTTP {asked.method}", "server", **{"http.request.method": asked.method}) as span:
            if span is not None:
                yield RequestSpan(span)
                return
        with carried(given if is_traceparent(given) else begun()):
            yield RequestSpan(None)
