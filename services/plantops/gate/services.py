"""What the gate answers about commands, from its state as it is at the moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from plantops.events.base import Record, encode_json
from plantops.events.envelope import Message
from plantops.events.queries import CommandAsked, CommandsAsked, HoldsAsked, problem
from plantops.gate import answers
from plantops.gate.state import GateState

VERBS = ("get", "list", "approvals", "holds")

Answer = Callable[[Message], Awaitable[bytes]]
R = TypeVar("R", bound=Record)


def services(state: Callable[[], GateState]) -> Mapping[str, Answer]:
    """The handler of each verb of `command.<site>.<verb>`."""

    async def get(message: Message) -> bytes:
        asked = _read(message, CommandAsked)
        if isinstance(asked, bytes):
            return asked
        command = answers.find(state(), asked.command)
        found = answers.status(state(), command) if command else None
        if found is None:
            return problem("unknown_command", f"no command {asked.command!r} was asked for here")
        return encode_json(found)

    async def listed(message: Message) -> bytes:
        asked = _read(message, CommandsAsked)
        if isinstance(asked, bytes):
            return asked
        return encode_json(answers.listed(state(), asked.limit, open_only=asked.open_only))

    async def approvals(_message: Message) -> bytes:
        return encode_json(answers.approvals(state()))

    async def holds(message: Message) -> bytes:
        asked = _read(message, HoldsAsked)
        if isinstance(asked, bytes):
            return asked
        return encode_json(answers.holds(state(), asked.asset))

    return dict(zip(VERBS, (get, listed, approvals, holds), strict=True))


def _read(message: Message, kind: type[R]) -> R | bytes:
    try:
        return msgspec.json.decode(message.data or b"{}", type=kind)
    except msgspec.DecodeError as error:
        return problem("malformed", f"{message.subject}: {error}")
