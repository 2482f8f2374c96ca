"""Which trace the work at hand belongs to (W3C Trace Context), and spans for whoever collects them.

The trace travels as the header `traceparent` on requests and stored events, whether or not anybody collects
spans: so the log itself tells what one call over HTTP has led to. Nothing is decided by it, and nobody is
believed for it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

# W3C Trace Context, 3.2.2: version 00, and neither identity is all zeros.
_PARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_CURRENT: Final[ContextVar[str]] = ContextVar("traceparent", default="")


class TraceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where spans go (OpenTelemetry). `endpoint` is the OTLP/HTTP address for `otlp`; `sample` is the share
    of traces that begin here and are collected."""

    exporter: Literal["none", "console", "otlp"] = "none"
    endpoint: str = "http://127.0.0.1:4318/v1/traces"
    sample: Annotated[float, Meta(ge=0, le=1)] = 1.0


def is_traceparent(text: str) -> bool:
    """Whether `text` is the header of a trace that can be gone on with."""
    return _PARENT.fullmatch(text) is not None


def current() -> str:
    """The `traceparent` of the work at hand, "" outside of any trace."""
    return _CURRENT.get()


def begun() -> str:
    """The `traceparent` of a new trace that nobody collects."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


@contextmanager
def carried(traceparent: str) -> Iterator[None]:
    """What is done in the block belongs to this trace; to none where the text is no header of one."""
    token = _CURRENT.set(traceparent if is_traceparent(traceparent) else "")
    try:
        yield
    finally:
        _CURRENT.reset(token)


class Spans:
    """Makes spans of one process, when somebody collects them; else it only carries the trace on."""

    def __init__(self) -> None:
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None

    def start(self, process: str, settings: TraceSettings) -> None:
        """Once, at the start of a process. What cannot be sent is dropped; nobody waits for it."""
        if settings.exporter == "none":
            return
        # The SDK takes 20 MB, which only who collects traces shall pay.
        from plantops.runtime.span_export import provider_for  # noqa: PLC0415

        self._provider = provider_for(process, settings)
        self._tracer = self._provider.get_tracer("plantops")

    def stop(self) -> None:
        """Send what waits, for at most a second."""
        if self._provider is not None:
            self._provider.force_flush(1000)
            self._provider.shutdown()
        self._provider = self._tracer = None

    @contextmanager
    def span(self, name: str, kind: SpanKind = "internal", **attributes: str) -> Iterator[Span | None]:
        """One piece of work of the current trace, or of a new one. None when nobody collects."""
        if self._tracer is None:
            yield None
            return
        from plantops.runtime.span_export import open_span, parent_of  # noqa: PLC0415

        with open_span(self._tracer, name, kind, attributes, current()) as span:
            token = _CURRENT.set(parent_of(span))
            try:
                yield span
            finally:
                _CURRENT.reset(token)


SpanKind = Literal["internal", "server", "client", "producer", "consumer"]

SPANS: Final = Spans()
"""The one of this process, as the log is."""
