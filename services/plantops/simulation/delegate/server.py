"""The delegate: one HTTP server, one pump, and whatever is to go wrong."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from plantops.simulation.delegate.faults import Fault
from plantops.simulation.delegate.forms import arguments_of, variables
from plantops.simulation.delegate.http import MAX_HEAD_BYTES, BadRequest, Request, Response, read_request
from plantops.simulation.delegate.pump import DelegatePump, Impossible, Value
from plantops.simulation.delegate.seal import Asker, Refusal, Seals
from plantops.simulation.links import Links

LOOPBACK = "127.0.0.1"
Style: TypeAlias = Literal["basyx", "job", "aas"]
"""When the end is told: at once; when asked for a job by name; when asked at a Location (AAS Part 2)."""

_HUGE_BYTES = 3 * 1024 * 1024


@dataclass
class _Job:
    outputs: Mapping[str, Value]
    looks_left: int
    hiccups: int = 1


class DelegateServer:
    """Operations under `/operations/<name>` on `port` of loopback, from entering until leaving.

    The same idempotency key starts an operation once; who asks again waits for that one and gets its answer.
    `keys` by id: without any, nothing is signed and nothing is judged. `looks`: how often a job says that it
    runs before it says that it ended.
    """

    def __init__(
        self,
        keys: Mapping[str, str],
        *,
        style: Style = "basyx",
        looks: int = 2,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.pump = DelegatePump()
        self.fault = Fault.NONE
        self.simulations = 0
        self.requests: list[Request] = []
        self.arrived = asyncio.Event()
        """Set when an operation has been begun, whatever comes of its answer."""
        self.port = port
        self._seals = Seals(keys) if keys else None
        self._style, self._looks, self._tls = style, looks, tls
        self._done: dict[str, asyncio.Future[Response]] = {}
        self._jobs: dict[str, _Job] = {}
        self._released = asyncio.Event()
        self._last = b""
        self._server: asyncio.Server | None = None
        self._links = Links(self._link, lambda: f"delegate {self.port}")

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}"

    def release(self) -> None:
        """Let what hangs be answered, late."""
        self._released.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._links.accept, LOOPBACK, self.port, limit=MAX_HEAD_BYTES, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._links.cut()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError):
            try:
                request = await read_request(reader)
            except BadRequest as error:
                data = _problem(400, str(error)).encode()
            else:
                self.requests.append(request)
                data = await self._wire(request)
            writer.write(data)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def _wire(self, request: Request) -> bytes:
        """The answer's bytes, with what goes wrong on its way."""
        try:
            asker = self._seals.judge(request) if self._seals else None
        except Refusal as error:
            return _problem(401, str(error)).encode()
        response = await self._answer(request)
        if request.method != "POST":
            return self._signed(asker, response).encode()
        data = await self._spoilt(asker, response)
        self._last = data
        return data

    async def _answer(self, request: Request) -> Response:
        if request.method == "GET" and request.path == "/health":
            return _problem(503, "sick") if self.fault is Fault.SICK else _json(200, {"status": "healthy"})
        if request.method == "GET":
            return self._job(request.path)
        if request.method != "POST" or not request.path.startswith("/operations/"):
            return _problem(404, f"nothing is at {request.path}")
        if self.fault in (Fault.REFUSING, Fault.REFUSING_UNSIGNED):
            return _problem(400, "not now")
        try:
            arguments, by_context = arguments_of(request.body)
            return await self._operate(request, arguments, by_context)
        except (BadRequest, Impossible) as error:
            return _problem(400, str(error))

    async def _operate(self, request: Request, arguments: Mapping[str, Value], by_context: bool) -> Response:
        name = request.path.split("/")[2]
        asks = (
            request.headers.get("plantops-simulate") == "true",
            by_context,
            request.target.endswith("?simulate=true"),
            request.path.endswith("/simulate"),
        )
        if any(asks) and self.fault is not Fault.IGNORING_SIMULATION:
            self.simulations += 1
            return self._foreseen(self.pump.foresee(name, arguments), is_plain=by_context)
        key = request.headers.get("idempotency-key", "")
        if not key:
            return _problem(400, "an operation needs an Idempotency-Key")
        if (known := self._done.get(key)) is not None:
            return await asyncio.shield(known)
        done: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._done[key] = done
        try:
            done.set_result(self._begun(key, self.pump.operate(name, arguments)))
        except Impossible as error:
            done.set_result(_problem(400, str(error)))
        self.arrived.set()
        return await done

    def _foreseen(self, outputs: Mapping[str, Value], *, is_plain: bool) -> Response:
        headers = {"PlantOps-Simulate": "true"}
        if not is_plain:
            return replace(_json(200, variables(outputs)), headers=headers)
        lines = {**outputs, "warnings": str(outputs["warnings"]).splitlines()}
        told = {"executionState": "Completed", "simulationResult": lines}
        return replace(_json(200, told), headers=headers)

    def _begun(self, key: str, outputs: Mapping[str, Value]) -> Response:
        if self._style == "basyx":
            told = variables(outputs)
            return _json(200, [*told, told[0]] if self.fault is Fault.DOUBLED else told)
        job = f"job-{len(self._jobs) + 1}"
        self._jobs[job] = _Job(outputs, self._looks)
        if self._style == "job":
            return _json(202, {"executionState": "Initiated", "jobId": job})
        place = f"../operation-status/{job}"
        if self.fault is Fault.ELSEWHERE:
            place = f"http://{LOOPBACK}:1/operation-status/{job}"
        return Response(202, headers={"Location": place})

    def _job(self, path: str) -> Response:
        _, area, name = path.split("/", 2) if path.count("/") > 1 else ("", "", "")
        job = self._jobs.get(name)
        if job is None or self.fault is Fault.JOB_LOST:
            return _problem(404, f"no job at {path}")
        if self.fault is Fault.JOB_HICCUP and job.hiccups:
            job.hiccups -= 1
            return _problem(503, "busy")
        if self.fault is Fault.JOB_HANGS or (job.looks_left and area != "operation-results"):
            job.looks_left -= 1
            return _json(200, {"executionState": "Running"})
        if self.fault is Fault.JOB_FAILS:
            messages = [{"messageType": "Error", "text": "the valve stuck"}]
            return _json(200, {"executionState": "Failed", "success": False, "messages": messages})
        if area == "operation-status":
            return Response(302, headers={"Location": f"../operation-results/{name}"})
        if area == "jobs":
            return _json(200, {"job_id": name, "status": "COMPLETED", "result": job.outputs, "error": None})
        told = {"executionState": "Completed", "success": True, "outputArguments": variables(job.outputs)}
        return _json(200, told)

    async def _spoilt(self, asker: Asker | None, response: Response) -> bytes:
        match self.fault:
            case Fault.HANGING:
                await self._released.wait()
            case Fault.CUT:
                return b""
            case Fault.GARBAGE:
                return b"\x00\xff\x17 no protocol at all\r\n\r\n" * 20
            case Fault.REPLAYED:
                return self._last
            case Fault.UNSIGNED | Fault.REFUSING_UNSIGNED:
                return response.encode()
            case Fault.ALTERED:
                signed = self._signed(asker, response)
                return replace(signed, body=signed.body.replace(b"flushed", b"flashed")).encode()
            case Fault.WRONG_KEY if asker is not None:
                other = Seals({asker.key: "another secret that nobody else has"})
                return other.sign(asker, response).encode()
            case Fault.WRONG_NONCE if asker is not None:
                return self._signed(Asker(asker.key, "0" * 32), response).encode()
            case _:
                response = _changed(self.fault, response)
        return self._signed(asker, response).encode()

    def _signed(self, asker: Asker | None, response: Response) -> Response:
        if self._seals is None or asker is None:
            return response
        return self._seals.sign(asker, response)


def _changed(fault: Fault, response: Response) -> Response:
    """What the delegate itself says wrongly, and signs."""
    match fault:
        case Fault.FAILING:
            return _problem(500, "the valve stuck")
        case Fault.NO_JSON:
            return replace(response, body=b"<html>done</html>")
        case Fault.HUGE:
            return replace(response, body=b" " * _HUGE_BYTES)
        case Fault.REDIRECT:
            return Response(307, headers={"Location": "/operations/Stop"})
        case Fault.COMPRESSED:
            return replace(response, headers={"Content-Encoding": "gzip"})
        case _:
            return response


def _json(status: int, told: Any) -> Response:
    return Response(status, json.dumps(told).encode())


def _problem(status: int, text: str) -> Response:
    return _json(status, {"messages": [{"messageType": "Error", "text": text}]})
