"""One trace goes on from a request over each stored event to the device, whoever collects it or not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from plantops.events.envelope import TRACE, Message
from plantops.flow.bus import Bus, Stored
from plantops.flow.worker import run_worker
from plantops.runtime import tracing
from plantops.runtime.errors import NobodyAnswers
from plantops.runtime.tracing import SPANS, begun, carried, current, is_traceparent
from support.counter import Counter, came_up
from support.shell_plant import SIGNER, Plant
from support.stages import ServerStage, server_stage

__all__ = ["server_stage"]

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        PARENT.upper(),
        PARENT + "-x",
        "ff" + PARENT[2:],
        PARENT[:-1],
        PARENT + "\n",
    ],
)
def test_what_is_no_trace_context_is_not_gone_on_with(text: str) -> None:
    with carried(text):
        assert current() == ""


def test_a_trace_counts_inside_of_its_block_only() -> None:
    with carried(PARENT):
        assert current() == PARENT
        with carried(""):
            assert current() == ""
        assert current() == PARENT
    assert current() == ""
    assert is_traceparent(begun())
    assert begun() != begun()


def test_an_event_carries_the_trace_it_was_made_in() -> None:
    with carried(PARENT):
        inside = SIGNER.message("source.demo.a.up", came_up("a", 1), id="1", time=1)
    outside = SIGNER.message("source.demo.a.up", came_up("a", 1), id="1", time=1)
    assert inside.header(TRACE) == PARENT
    assert TRACE not in outside.headers


async def test_the_answers_of_a_fold_go_on_with_the_trace_of_what_caused_them() -> None:
    plant = Plant(Counter())
    with carried(PARENT):
        await plant.feed(60)
    await plant.settle(plant.shell())
    traced = len(plant.answers())
    await plant.feed(60, first=60)
    await plant.settle(plant.shell())
    told = [each.headers.get(TRACE, "") for each in plant.answers()]
    assert 0 < traced < len(told)
    assert told == [PARENT] * traced + [""] * (len(told) - traced)


async def until_answered(client: Bus) -> None:
    """The subscription may be on its way to the server still."""
    async with asyncio.timeout(20):
        while True:
            try:
                await client.request("twin.demo.get", b"{}", timeout=2.0)
            except NobodyAnswers:
                continue
            return


async def test_a_request_takes_the_trace_to_whoever_answers_it(server_stage: ServerStage) -> None:
    server, client = await server_stage.bus("server"), await server_stage.bus("client")
    heard: list[str] = []

    async def answer(_message: Message) -> bytes:
        heard.append(current())
        return b"{}"

    await server.serve("twin.demo.get", answer)
    with carried(PARENT):
        await until_answered(client)
    await client.request("twin.demo.get", b"{}", timeout=2.0)
    assert heard == [PARENT, ""]


async def test_an_effect_is_done_in_the_trace_of_its_message() -> None:
    plant = Plant(Counter())
    plant.broker.add_consumer("SOURCES", "effects", ("source.>",), kind="effect", ack_wait_seconds=30.0)
    with carried(PARENT):
        await plant.feed(1, first=1)
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def effect(_stored: Stored) -> None:
        await heard.put(current())

    reader = await plant.broker.bus("worker").reader("SOURCES", "effects")
    working = asyncio.create_task(run_worker(reader, effect))
    assert await asyncio.wait_for(heard.get(), 20) == PARENT
    working.cancel()
    await asyncio.wait([working])


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(SPANS, "_provider", provider)
    monkeypatch.setattr(SPANS, "_tracer", provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


def test_spans_stand_below_each_other_in_the_carried_trace(collected: InMemorySpanExporter) -> None:
    with carried(PARENT), SPANS.span("outer", "server") as outer:
        assert outer is not None
        with SPANS.span("inner", asset="pump-001"):
            within = current()
    inner_span, outer_span = collected.get_finished_spans()
    assert (inner_span.name, outer_span.name) == ("inner", "outer")
    assert f"{outer_span.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{outer_span.parent.span_id:016x}" == PARENT.split("-")[2]  # type: ignore[union-attr]
    assert inner_span.parent.span_id == outer_span.context.span_id  # type: ignore[union-attr]
    assert within.split("-")[2] == f"{inner_span.context.span_id:016x}"
    assert inner_span.attributes == {"asset": "pump-001"}


def test_without_a_collector_there_is_no_span_and_the_trace_is_carried_all_the_same() -> None:
    with carried(PARENT), SPANS.span("outer") as span:
        assert span is None
        assert current() == PARENT


def test_a_collector_that_is_away_is_not_waited_for(tmp_path: Path) -> None:
    spans = tracing.Spans()
    spans.start("test", tracing.TraceSettings(exporter="otlp", endpoint="http://127.0.0.1:9/v1/traces"))
    with spans.span("lost") as span:
        assert span is not None
    spans.stop()
