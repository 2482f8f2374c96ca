"""The last word on a command: on our own disk first, then on the stream, once, however long it takes."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import structlog

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.claims import Claims
from plantops.adapters.host.clock import Clock
from plantops.events.base import CommandId
from plantops.events.envelope import Message
from plantops.flow.bus import Bus
from plantops.runtime.errors import Conflict, IntegrityError

log = structlog.get_logger()

_RETRY_SECONDS = 0.5
# One word on each command; so many commands do not end while the broker is away.
_MAX_KEPT = 10_000


class _Line(msgspec.Struct, frozen=True):
    command: CommandId
    subject: str
    data: bytes
    headers: dict[str, str]


class Outcomes:
    """Final events of one executor. `path` is the file that holds what the broker does not have yet.

    After a crash the file says what really happened, where otherwise only `outcome_unknown` could be said.
    """

    def __init__(self, bus: Bus, clock: Clock, claims: Claims, path: Path) -> None:
        self._bus, self._clock, self._claims, self._path = bus, clock, claims, path
        self._kept: dict[CommandId, Message] = {}

    def is_kept(self, command: CommandId) -> bool:
        """Whether the last word on it is known here and not on the stream yet."""
        return command in self._kept

    async def recover(self) -> None:
        """Store what an earlier run left behind; returns when the stream has it.

        Raises: IntegrityError for a damaged line that is not the torn last one.
        """
        _cut_torn_line(self._path)
        for line in _read(self._path):
            self._kept[line.command] = Message(line.subject, line.data, line.headers)
        for command in list(self._kept):
            log.info("outcome.recovered", command=command)
            await self._publish(command)

    async def say(self, command: CommandId, message: Message) -> None:
        """Returns when the stream has the word. Raises: IntegrityError when the disk takes nothing.

        Another final word of ours that is there already stands, and this one is dropped.
        """
        if len(self._kept) >= _MAX_KEPT:
            raise IntegrityError(
                f"{len(self._kept)} outcomes wait for the broker: call the operator before more is written",
                path=str(self._path),
            )
        self._kept[command] = message
        _append(self._path, _Line(command, message.subject, message.data, dict(message.headers)))
        await self._publish(command)

    async def _publish(self, command: CommandId) -> None:
        while True:
            try:
                if await self._is_stored(command):
                    break
            except AWAY:
                await self._clock.sleep(_RETRY_SECONDS)
        del self._kept[command]
        if not self._kept:
            self._path.unlink(missing_ok=True)

    async def _is_stored(self, command: CommandId) -> bool:
        """One attempt; expecting our last word as it stands keeps a repetition from being a second one."""
        said = await self._claims.said(command)
        if said.is_final:
            return True
        try:
            await self._bus.publish(
                self._kept[command],
                stream="COMMANDS",
                expected_last=said.sequence,
                expected_subject=self._claims.own(command),
            )
        except Conflict:
            return False
        return True


def _append(path: Path, line: _Line) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise IntegrityError(
            f"cannot write the outcome journal {path}: {error.strerror}", path=str(path)
        ) from error


def _cut_torn_line(path: Path) -> None:
    """What a crash in the middle of a write left would spoil the line behind it, and that one counts."""
    if path.exists() and not (data := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)


def _read(path: Path) -> list[_Line]:
    if not path.exists():
        return []
    lines: list[_Line] = []
    parts = path.read_bytes().split(b"\n")
    for number, part in enumerate(parts, 1):
        if not part:
            continue
        try:
            lines.append(msgspec.json.decode(part, type=_Line))
        except msgspec.DecodeError as error:
            if number == len(parts):  # no line end: the crash came in the middle of the write
                continue
            raise IntegrityError(
                f"{path}, line {number} is damaged: keep the file and look at the device", path=str(path)
            ) from error
    return lines
