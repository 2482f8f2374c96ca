"""A whole site with its gateway: one command over HTTP, and one trace of it to the device."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from plantops.events.envelope import TRACE, Message
from support.site import RunningSite, make_site, until

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP; `spans` are (service, name, trace)."""

    spans: ClassVar[list[tuple[str, str, str]]] = []


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            )
            for scope in resource.scope_spans:
                Collector.spans.extend((service, span.name, span.trace_id.hex()) for span in scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    server = Collector(("127.0.0.1", 0), _Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[RunningSite]:
    made = make_site(tmp_path_factory.mktemp("site") / "demo", front=True)
    with (made.root / "plantops.toml").open("a") as file:
        endpoint = f"http://127.0.0.1:{collector.server_address[1]}/v1/traces"
        file.write(f'\n[traces]\nexporter = "otlp"\nendpoint = "{endpoint}"\n')
    try:
        asyncio.run(made.start())
        yield made
        made.stop()
    finally:
        if made.process is not None:
            made.clear(made.process)


@pytest.fixture
async def http(site: RunningSite) -> AsyncIterator[httpx.AsyncClient]:
    url = f"http://127.0.0.1:{site.running.gateway}"
    async with httpx.AsyncClient(base_url=url, timeout=30.0, headers={"X-Roles": "operator"}) as client:

        async def ready() -> int:
            try:
                return (await client.get("/ready")).status_code
            except httpx.ConnectError:
                return 0

        await until(ready, lambda status: status == 200, "the gateway is ready")
        yield client


async def test_a_stop_over_http_reaches_the_device_in_one_trace(
    site: RunningSite, http: httpx.AsyncClient
) -> None:
    heard: list[Message] = []

    async def hear(message: Message) -> None:
        heard.append(message)

    async with site.session("carol") as carol:
        listening = await carol.bus.listen("cmd.demo.>", hear)
        answer = await http.post(
            "/v1/commands",
            json={"asset": "pump-001", "operation": "StopPump", "arguments": {}},
            headers={"traceparent": PARENT},
        )
        assert answer.status_code in (200, 202), answer.text
        command = answer.json()["command"]

        async def told() -> list[str]:
            return [each.subject.split(".")[2] for each in heard if each.subject.endswith(command)]

        await until(told, lambda kinds: "executed" in kinds, "the stop is executed")
        await listening.stop()
    mine = [each for each in heard if each.subject.endswith(command)]
    writers = {each.subject.split(".")[3] for each in mine}
    assert {"gate"} < writers
    assert {each.header(TRACE).split("-")[1] for each in mine} == {TRACE_ID}, [
        (each.subject, each.header(TRACE)) for each in mine
    ]


async def test_its_spans_come_from_gateway_gate_and_host(site: RunningSite) -> None:
    async def services() -> set[str]:
        return {service for service, _name, trace in Collector.spans if trace == TRACE_ID}

    await until(services, lambda found: {"plantops-gateway", "plantops-gate"} < found, "spans were collected")
    names = {name for _service, name, trace in Collector.spans if trace == TRACE_ID}
    assert {"HTTP POST", "door.intent answered", "command.safe_permitted carried out"} <= names, names


async def test_the_quick_start_of_the_peer_works_as_it_is_written(http: httpx.AsyncClient) -> None:
    answer = await http.post("/chat", json={"message": "Set speed to 1200 RPM"})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) >= {"reply", "tool_results", "pending_approval", "task_id"}


async def test_fifty_requests_at_once_are_not_limited_by_the_shipped_defaults(
    http: httpx.AsyncClient,
) -> None:
    answers = await asyncio.gather(*(http.get("/v1/commands") for _number in range(50)))
    assert {each.status_code for each in answers} == {200}


def test_what_the_gateway_logs_can_be_joined_with_what_was_answered(
    site: RunningSite, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{site.running.gateway}"
    answer = httpx.get(
        f"{url}/v1/commands", headers={"X-Roles": "viewer", "X-Request-ID": "to-be-found-1"}, timeout=30
    )
    assert answer.headers["x-request-id"] == "to-be-found-1"
    logs = "".join(path.read_text(errors="replace") for path in site.site.folder.logs.glob("*.log"))
    assert '"request": "to-be-found-1"' in logs
