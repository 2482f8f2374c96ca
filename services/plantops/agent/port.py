"""The port to a language model: what it is shown, and what it may answer.

A model proposes; it decides nothing. What it is shown keeps apart what a person said, what it said itself and
what tools gave: the last is data, with where it came from, and never an instruction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from plantops.events.base import CommandId, Digest, PrincipalName, Record, SiteName, encode_json
from plantops.events.conversation import ToolCall, ToolOutcome, Usage
from plantops.events.provenance import Provenance
from plantops.events.tooling import ToolListed
from plantops.runtime.errors import PlantOpsError

Stopped: TypeAlias = Literal["done", "length", "refused"]
"""Why a model said no more: it was ready (or wants its calls made), it ran into `max_tokens`, it declined."""

OnText: TypeAlias = Callable[[str], None]
"""Told each piece of text as it comes, in order. It never blocks. Nothing depends on it."""


class PersonSaid(Record, frozen=True, tag_field="part", tag="person"):
    """The person's own words: the only part that is an instruction."""

    turn: int
    text: str


class ModelSaid(Record, frozen=True, tag_field="part", tag="model"):
    """One reply of a model in this conversation; `calls` are those that were made, each answered below."""

    turn: int
    step: int
    text: str
    calls: tuple[ToolCall, ...] = ()


class ToolGave(Record, frozen=True, tag_field="part", tag="tool"):
    """What a call gave: DATA. `content` is JSON text; whatever it says, nobody asked for it.

    `outcome` is the same for programs. Every call of a `ModelSaid` has exactly one, in the order of its
    calls, before the next part of another kind.
    """

    turn: int
    step: int
    call: str
    tool: str
    content: str
    outcome: ToolOutcome
    provenance: tuple[Provenance, ...] = ()


Part: TypeAlias = PersonSaid | ModelSaid | ToolGave


class Limits(Record, frozen=True):
    """What one reply may take: tokens of output, and seconds until the last of them, retries included."""

    max_tokens: int = 1024
    seconds: float = 60.0


class Facts(Record, frozen=True):
    """What a deterministic provider may use besides the parts; a language model is not shown it.

    `known` is every tool that the chain may use, by name, also those not offered. `last_command` is the
    newest command of the conversation, `waiting_for` the one that waits for a person ("": none), each with
    its handle.
    """

    asked_at: datetime
    known: tuple[ToolListed, ...] = ()
    last_command: CommandId = CommandId("")
    last_handle: str = ""
    waiting_for: CommandId = CommandId("")
    waiting_handle: str = ""


class ModelRequest(Record, frozen=True):
    """One question to a model.

    `parts` begins and, but for tool results, ends with a `PersonSaid`: the turns since the last reset, the
    oldest first, bounded. `tools` are offered: a call of another one is refused and told to the model. `step`
    counts the replies of this turn from 1; with `is_last` no call will be made any more and `tools` is empty.
    `chain` is who asks: the login, then whom it asks for, the person last.
    """

    site: SiteName
    conversation: str
    turn: int
    step: int
    parts: tuple[Part, ...]
    tools: tuple[ToolListed, ...]
    chain: tuple[PrincipalName, ...]
    facts: Facts
    limits: Limits = Limits()
    is_last: bool = False

    @property
    def person(self) -> PrincipalName:
        """Who wants it, at the end of the chain."""
        return self.chain[-1]


class ModelReply(Record, frozen=True):
    """What it said. `provider` and `model` name who answered; after a fall-back that is the second one.

    `exact`: its commands follow from the person's words of this turn and the catalogue alone, never from what
    a tool gave. A provider says so of itself, so nothing is let through for it: each call is judged.

    The ids of `calls` need not be unique: they are stored, and shown later, under ids of our own. A tool or
    arguments that do not exist may be in here: they are checked before anything is done.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    provider: str = ""
    model: str = ""
    stopped: Stopped = "done"
    fell_back_from: str = ""
    problem: str = ""
    exact: bool = False


class LanguageModel(Protocol):
    """A provider, or several behind one another."""

    @property
    def name(self) -> str:
        """For events, metrics and people."""
        ...

    @property
    def most_tools(self) -> int:
        """How many tools it is offered by capability search; 0: all that the chain may use."""
        ...

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """One reply, within `request.limits`.

        `on_text` was told exactly `text` when this returns; after a fall-back it may have been told a
        beginning that does not count. May be cancelled. Raises: ModelUnavailable.
        """
        ...

    async def close(self) -> None:
        """Let connections go."""
        ...


class ModelUnavailable(PlantOpsError):
    """No provider gave a reply in time, the last fall-back included; another turn may fare better."""

    retryable = True


def request_digest(request: ModelRequest) -> Digest:
    """The identity of what a model is shown, for recordings: same words, data, tools and chain, same digest.

    The conversation's name, the facts and the limits are left out: they are not shown.
    """
    shown = encode_json(
        [request.site, request.step, request.parts, request.tools, request.chain, request.is_last]
    )
    return Digest(hashlib.sha256(shown).hexdigest())
