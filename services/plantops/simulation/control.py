"""The control port: one JSON request per line, one JSON answer per line.

{"tell": "temperature", "value": 96}   break something (value: true when left out)
{"clear": "temperature"}               mend it; {"clear": "all"} mends everything but the wires
{"command": "speed", "value": 1200}    write a command word
{"silence": "modbus"}                  also "hang", "garbage", "resume"; "opcua" likewise
{"state": true}                        only look
{"written": 0}                         the writes behind that number, at most 200, as the state

Answers: {"ok": true, "state": {...}} or {"ok": false, "error": "..."}. For tests and demonstrations: whoever
reaches the port moves the plant, so it listens on loopback, or on a network that holds nothing but the demo.
"""

import asyncio
import json
from contextlib import suppress
from types import TracebackType
from typing import Self

from plantops.runtime.errors import PlantOpsError, SettingsError
from plantops.simulation.simulated_plant import LOOPBACK, SimulatedPlant

VERBS = ("tell", "clear", "command", "silence", "hang", "garbage", "resume", "state", "written")
# A control line is short; a longer one is a mistake.
MAX_LINE_BYTES = 4096
MOST_WRITES = 200


class ControlServer:
    """Answers control requests for one simulated plant; `port` is known inside `async with`."""

    def __init__(self, plant: SimulatedPlant, *, port: int = 0, host: str = LOOPBACK) -> None:
        self.port = port
        self._host = host
        self._plant = plant
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Raises: OSError when the port is taken."""
        self._server = await asyncio.start_server(self._accept, self._host, self.port, limit=MAX_LINE_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.create_task(self._serve(reader, writer), name="simulation control")
        self._sessions.add(session)

        def ended(session: asyncio.Task[None]) -> None:
            # Here and not in the task: a task that is cancelled before its first step runs none of its code.
            self._sessions.discard(session)
            writer.close()

        session.add_done_callback(ended)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A line over the limit is a ValueError of the reader; a lost client is an OSError.
        with suppress(OSError, ValueError):
            while line := await reader.readline():
                writer.write(json.dumps(await self.answer(line)).encode() + b"\n")
                await writer.drain()

    async def answer(self, line: bytes) -> dict[str, object]:
        """The answer to one request line; never raises for what a client can send."""
        try:
            verb, name, value = _request(line)
            await self._act((verb, name, value))
            if verb == "written":
                return {"ok": True, "state": {"written": self._plant.written(_number(name), MOST_WRITES)}}
        except PlantOpsError as error:
            return {"ok": False, "error": error.message}
        return {"ok": True, "state": self._plant.state()}

    async def _act(self, request: tuple[str, str, float | bool | str]) -> None:
        verb, name, value = request
        plant = self._plant
        try:
            match verb:
                case "tell":
                    plant.tell(name, value)
                case "clear":
                    plant.clear(None if name == "all" else name)
                case "command":
                    plant.command(name, float(value))
                case "silence":
                    await plant.silence(name)
                case "hang":
                    await plant.hang(name)
                case "garbage":
                    await plant.garbage(name)
                case "resume":
                    await plant.resume(name)
                case _:
                    pass
        except (ValueError, OverflowError) as error:  # json reads integers of any size
            raise SettingsError(f"cannot {verb} {name!r}: {error}", setting=verb) from error


def _number(text: str) -> int:
    """Raises: SettingsError."""
    if not text.isdecimal():
        raise SettingsError(f"writes are counted from 1: {text!r} is no number of one", setting="written")
    return int(text)


def _request(line: bytes) -> tuple[str, str, float | bool | str]:
    try:
        request = json.loads(line)
    except ValueError as error:
        raise SettingsError(f"the control line is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise SettingsError('the control line is no JSON object: send {"state": true}')
    verbs = [verb for verb in VERBS if verb in request]
    if len(verbs) != 1 or set(request) - {verbs[0], "value"}:
        raise SettingsError(f"the control line must hold one of {', '.join(VERBS)}, and at most a value")
    value = request.get("value", True)
    if not isinstance(value, float | int | str):
        raise SettingsError("the control line's value must be a number, a boolean or a string")
    return verbs[0], str(request[verbs[0]]), value
