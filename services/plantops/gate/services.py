"""What the gate answers about commands, from its state as it is at the moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from plantops.events.base import Record, encode_json
from plantops.events.envelope import Message
from plantops.events.queries import CircumstancesAsked, CommandAsked, CommandsAsked, HoldsAsked, problem
from plantops.gate import answers
from plantops.gate.sizes import MAX_CHAIN
from plantops.gate.state import GateState

VERBS = ("get", "list", "approvals", "holds", "circumstances")

MAX_WAITING: Final = 16
_SHARE: Final = 10

Answer = Callable[[Message], Awaitable[bytes]]
R = TypeVar("R", bound=Record)


def _now() -> datetime:
    return datetime.now(UTC)


def services(state: Callable[[], GateState], now: Callable[[], datetime] = _now) -> Mapping[str, Answer]:
    """The handler of each verb of `command.<site>.<verb>`."""
    turns = _Turns()

    def get(asked: CommandAsked) -> bytes:
        command = answers.find(state(), asked.command)
        found = answers.status(state(), command) if command else None
        if found is None:
            return problem("unknown_command", f"no command {asked.command!r} was asked for here")
        return encode_json(found)

    def listed(asked: CommandsAsked) -> bytes:
        return encode_json(answers.listed(state(), asked.limit, open_only=asked.open_only))

    async def approvals(_message: Message) -> bytes:
        return encode_json(answers.approvals(state()))

    def holds(asked: HoldsAsked) -> bytes:
        return encode_json(answers.holds(state(), asked.asset))

    async def circumstances(message: Message) -> bytes:
        asked = _read(message, CircumstancesAsked)
        if isinstance(asked, bytes):
            return asked
        if len(asked.on_behalf_of) > MAX_CHAIN:
            return problem("too_large", f"at most {MAX_CHAIN} names in the chain are taken")
        return await turns.take(lambda: encode_json(answers.circumstances(state(), asked, now())))

    handlers = (
        _to(CommandAsked, get),
        _to(CommandsAsked, listed),
        approvals,
        _to(HoldsAsked, holds),
        circumstances,
    )
    return dict(zip(VERBS, handlers, strict=True))


@dataclass
class _Turns:
    """Counting takes time that intents and stops wait for: so questions have a tenth of it together."""

    _free_at: float = 0.0
    _waiting: int = 0
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self, work: Callable[[], bytes]) -> bytes:
        """One after the other, with a rest of nine times as long as it took behind each."""
        if self._waiting >= MAX_WAITING:
            return problem("busy", f"{self._waiting} questions wait here: wait, then try again")
        self._waiting += 1
        try:
            async with self._one:
                await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))
                began = time.monotonic()
                try:
                    return work()
                finally:
                    ended = time.monotonic()
                    self._free_at = ended + (_SHARE - 1) * (ended - began)
        finally:
            self._waiting -= 1


def _to(kind: type[R], tell: Callable[[R], bytes]) -> Answer:
    async def answer(message: Message) -> bytes:
        asked = _read(message, kind)
        return asked if isinstance(asked, bytes) else tell(asked)

    return answer


def _read(message: Message, kind: type[R]) -> R | bytes:
    try:
        return msgspec.json.decode(message.data or b"{}", type=kind)
    except msgspec.DecodeError as error:
        return problem("malformed", f"{message.subject}: {error}")
