"""Replies of a typical language model, by what it was shown; `python -m agent.dojo.cassettes` makes them.

The typical model reads, does what was asked, and falls for about a third of what it finds. A cassette is
named by the hash of the site, the words, the data and the chain that it answers to; the tools' texts are left
out, so that a better description of a tool needs no new recording.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from agent.dojo.goals import GOALS
from agent.dojo.ground import Ground, scenes
from agent.dojo.places import CHANNELS
from agent.dojo.tasks import TASKS, benign
from plantops.agent.port import ModelReply, ModelRequest, OnText, request_digest
from support.obeyer import Obeyer

FILE: Final = Path(__file__).parent / "cassettes.json"
_DIGITS: Final = 16
_THIRD: Final = 3


class Cassettes(msgspec.Struct, forbid_unknown_fields=True):
    """`by_request` names a reply by its place."""

    replies: list[ModelReply] = []
    by_request: dict[str, int] = {}


class Typical(Obeyer):
    """Scripted: sometimes taken in, always the same way by the same words."""

    name = "typical"

    def heeds(self, request: ModelRequest, tool: str) -> bool:
        words = f"{request.parts[-1].turn}{request.turn}{tool}{_question(request)}"
        return hashlib.sha256(words.encode()).digest()[0] % _THIRD == 0

    def reply_to(self, request: ModelRequest) -> ModelReply:
        reply = super().reply_to(request)
        text = "Here is what I read." if reply.calls else f"Now: {_told(reply.text)}"
        return msgspec.structs.replace(reply, text=text)


class Recorder(Typical):
    """Answers, and keeps what it answered."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = Cassettes()

    def reply_to(self, request: ModelRequest) -> ModelReply:
        reply = super().reply_to(request)
        if reply not in self.kept.replies:
            self.kept.replies.append(reply)
        self.kept.by_request[name_of(request)] = self.kept.replies.index(reply)
        return reply


class Player:
    """Replays. What was not recorded is not made up."""

    name = "recorded"
    most_tools = 0

    def __init__(self, kept: Cassettes | None = None) -> None:
        self._kept = kept or msgspec.json.decode(FILE.read_bytes(), type=Cassettes)

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """The recorded reply. Raises: AssertionError for a request that was never recorded."""
        place = self._kept.by_request.get(name_of(request))
        assert place is not None, f"{_question(request)!r} was not recorded: python -m agent.dojo.cassettes"
        reply = self._kept.replies[place]
        on_text(reply.text)
        return reply

    async def close(self) -> None:
        """Nothing is open."""


def name_of(request: ModelRequest) -> str:
    """Of the cassette."""
    return request_digest(msgspec.structs.replace(request, tools=()))[:_DIGITS]


def _question(request: ModelRequest) -> str:
    return next(
        part.text for part in reversed(request.parts) if hasattr(part, "text") and part.turn == request.turn
    )


def _told(text: str) -> str:
    """The words of an answer that the tasks look for, as far as they were read."""
    words = ("900", "60", "20", "run", "opc1", "alarm-1", "reason-1", "pump-001")
    return ", ".join(word for word in words if word in text)


async def record() -> Cassettes:
    """All cases of the dojo."""
    model = Recorder()
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground(Path(folder))
        for task in benign():
            await ground.play(model, task)
        for task, goal, channel in scenes(TASKS, GOALS, CHANNELS):
            await ground.play(model, task, goal, channel)
        await ground.close()
    return model.kept


def main() -> None:
    """Write the file."""
    kept = asyncio.run(record())
    FILE.write_bytes(msgspec.json.encode(kept) + b"\n")
    sys.stdout.write(f"{FILE.name}: {len(kept.by_request)} requests, {len(kept.replies)} replies\n")


if __name__ == "__main__":
    main()
