"""Commands: asking for one, and where it stands."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from plantops.events.base import Scalar
from plantops.events.command_parts import Mode, Risk
from plantops.gateway.shapes.words import Arguments, Body, Digest64, Key, Reason, Token, Told

State: TypeAlias = Literal[
    "asked",
    "simulating",
    "simulated",
    "waiting",
    "permitted",
    "executing",
    "executed",
    "done",
    "denied",
    "cancelled",
    "expired",
    "failed",
    "unknown",
]
"""`executed`, `done`, `denied`, `cancelled`, `expired`, `failed` and `unknown` are final. `unknown`: nobody
can tell whether it was written; a person must look. `done` is an act of the gate itself."""


class CommandBody(Body, frozen=True):
    """What to do. `key` makes it one command however often it is sent (or the header `Idempotency-Key`).

    `confirms` names the simulation that this executes, with the digest of the result that was seen.
    """

    asset: Token
    operation: Token
    arguments: Arguments = {}
    mode: Mode = "execute"
    key: Key | None = None
    reason: Reason = ""
    confirms: Token | None = None
    simulation: Digest64 = ""


class OnCommandBody(Body, frozen=True):
    """A wish on a command. `simulation` (confirm only): refused unless it is that of the command."""

    key: Key | None = None
    reason: Reason = ""
    simulation: Digest64 = ""


class CommandTaken(Told, frozen=True):
    """The command is stored, not judged yet; `Location` and `links.self` say where to look."""

    command: str
    handle: str
    repeated: bool
    links: dict[str, str]


class CommandShown(Told, frozen=True):
    """Where a command stands. `progress` is from 0 to 1; `waits_for` is what a person must do.

    `requester` is for whom it was asked, `by` who said it to the gate. `links` are what can be done now.
    """

    command: str
    handle: str
    asset: str
    operation: str
    arguments: dict[str, Scalar]
    mode: Mode
    risk: Risk
    by: str
    requester: str
    state: State
    is_final: bool
    progress: Annotated[float, Meta(ge=0, le=1)]
    reason: str
    waits_for: Literal["", "approval", "confirmation"]
    asked_at: datetime
    expires_at: datetime | None
    simulation: str
    confirms: str
    confirmed_by: str
    reconciled: str
    can_undo: bool
    links: dict[str, str]


class CommandList(Told, frozen=True):
    """The newest first. `next` is the cursor of the following page, "" at the end."""

    commands: tuple[CommandShown, ...]
    total: int
    next: str
