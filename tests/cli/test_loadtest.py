"""`plantops loadtest` against a server that answers as it is told: what is counted, and the exit code."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest

from plantops.cli.http_load import Request, load
from plantops.cli.main import run
from plantops.runtime.errors import SettingsError

SIMULATED = b'{"tool_results": [{"status": "simulated_only"}]}'
BUSY = b'{"error": {"code": "rate_limited", "message": "later"}}'


class Server(ThreadingHTTPServer):
    """Answers every fourth request with 429, and cuts the connection at `lost`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.numbers = count(1)
        self.seen: list[tuple[str, str, bytes]] = []
        self.connections: set[object] = set()
        self.lost: frozenset[int] = frozenset()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers.get("X-Roles", ""), body))
        self.server.connections.add(self.client_address)
        number = next(self.server.numbers)
        if number in self.server.lost:
            self.close_connection = True
            return
        status, answer = (429, BUSY) if number % 4 == 0 else (200, SIMULATED)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def _url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_answers_and_errors_are_counted_by_what_they_are(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["loadtest", "--url", _url(server), "-n", "20", "-c", "3", "--json", "--max-error-rate", "0.25"]
    assert run(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["requests"] == 20
    assert told["answers"] == {"200 simulated_only": 15}
    assert told["errors"] == {"429 rate_limited": 5}
    assert told["error_rate"] == 0.25
    assert 0 < told["p50_ms"] <= told["p95_ms"] <= told["p99_ms"]
    assert told["rps"] == pytest.approx(15 / told["seconds"])
    assert len(server.connections) == 3
    path, role, body = server.seen[0]
    assert (path, role, json.loads(body)) == (
        "/chat",
        "operator",
        {"message": "Set speed to 1200 RPM simulate"},
    )


def test_above_the_error_rate_a_script_sees_it(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["loadtest", "--url", _url(server), "-n", "8", "-c", "1", "--max-error-rate", "0.2"]) == 1
    told = capsys.readouterr()
    assert "429 rate_limited" in told.out
    assert "25.0%" in told.err


def test_a_command_is_simulated_unless_it_says_otherwise(server: Server) -> None:
    body = '{"asset": "pump-001", "operation": "StopPump"}'
    assert run(["loadtest", "--url", _url(server), "-n", "1", "-c", "1", "--command", body]) == 0
    path, _role, sent = server.seen[0]
    assert path.startswith("/v1/commands")
    assert json.loads(sent)["mode"] == "simulate"
    assert run(["loadtest", "--url", _url(server), "--command", "pump"]) == 2


async def test_a_lost_connection_is_an_error_and_the_next_request_has_a_new_one(server: Server) -> None:
    server.lost = frozenset((2,))
    loaded = await load(Request.of(_url(server), "POST", "/chat", {}, b"{}"), concurrency=1, requests=3)
    assert loaded.errors == {"lost": 1}
    assert loaded.answers == {"200": 2}
    assert loaded.requests == len(server.seen)  # what was lost is not sent again


async def test_where_nobody_listens_everything_is_an_error() -> None:
    loaded = await load(Request.of("http://127.0.0.1:1", "GET", "/health"), concurrency=2, requests=4)
    assert loaded.errors == {"no connection": 4}
    assert loaded.error_rate == 1.0


def test_what_is_no_address_is_told() -> None:
    with pytest.raises(SettingsError, match="http://host:port"):
        Request.of("localhost:8080", "GET", "/health")
    with pytest.raises(SettingsError, match="cannot be sent"):
        Request.of("http://localhost:8080", "GET", "/health", {"X-API-Key": "a\r\nX-Roles: supervisor"})
