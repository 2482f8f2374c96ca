"""Talking to the agent: as TwinOps has it, and with turns that can be followed."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from plantops.gateway.shapes.words import Body, Key, Token, Told

Message = Annotated[str, Meta(min_length=1, max_length=8000)]


class ChatBody(Body, frozen=True):
    """One message. Without `conversation` it stands alone; with the one of an answer it goes on there."""

    message: Message
    conversation: Token | None = None
    key: Key | None = None


class ToolResult(Told, frozen=True):
    """What came of one tool; `status` is completed, simulated_only, pending_approval, denied, failed or
    unknown. Of an operation `tool` is its plain name, and `asset` of what; of anything else `asset` is ""."""

    tool: str
    asset: str
    success: bool
    result: Any
    error: str | None
    simulated: bool
    status: str


class ChatReply(Told, frozen=True):
    """The answer. `task_id` is what waits for a person: for an approval when `pending_approval`, else for a
    confirmation (`POST /tasks/{task_id}/execute`)."""

    reply: str
    tool_results: tuple[ToolResult, ...]
    pending_approval: bool
    task_id: str | None
    conversation: str
    turn: int


class ResetBody(Body, frozen=True):
    """Which conversation; without one there is nothing to forget: each message stood alone."""

    conversation: Token | None = None


class ResetReply(Told, frozen=True):
    """What was said before is not shown to the model any more. Nothing is deleted."""

    status: str = "ok"


class TurnTaken(Told, frozen=True):
    """The turn is stored and will be answered. `links` say where."""

    conversation: str
    turn: int
    repeated: bool
    links: dict[str, str]
