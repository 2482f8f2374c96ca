"""Spans by the OpenTelemetry SDK; imported only where somebody collects them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from plantops.runtime.tracing import TraceSettings

_TIMEOUT_SECONDS = 3.0


def provider_for(process: str, settings: TraceSettings) -> TracerProvider:
    """Spans go out by a thread of their own, in batches; a collector that is away loses them."""
    resource = Resource.create({"service.name": f"plantops-{process}", "service.namespace": "plantops"})
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(settings.sample)))
    provider.add_span_processor(BatchSpanProcessor(_exporter(settings)))
    return provider


def _exporter(settings: TraceSettings) -> SpanExporter:
    if settings.exporter == "console":
        return ConsoleSpanExporter()
    return OTLPSpanExporter(endpoint=settings.endpoint, timeout=_TIMEOUT_SECONDS)


@contextmanager
def open_span(
    tracer: Tracer, name: str, kind: str, attributes: Mapping[str, str], traceparent: str
) -> Iterator[Span]:
    """A span below `traceparent`, or of a new trace."""
    parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent} if traceparent else {})
    with tracer.start_as_current_span(
        name, context=parent, kind=SpanKind[kind.upper()], attributes=dict(attributes)
    ) as span:
        yield span


def parent_of(span: Span) -> str:
    """The header that makes other spans children of this one."""
    found: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(found, trace.set_span_in_context(span))
    return found.get("traceparent", "")
