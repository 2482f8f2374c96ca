"""Questions and answers of the agent's door; JSON, never stored.

A client asks on `chat.<site>.<own name>.<verb>`, with the verbs `ask`, `watch`, `list` and `reset`. A
conversation belongs to the person at the end of its chain; nobody else hears it.
"""

from __future__ import annotations

from datetime import datetime

from plantops.events.base import CommandId, PrincipalName, Record
from plantops.events.conversation import ToolOutcome, TurnStatus


class ChatAsked(Record, frozen=True):
    """Verb `ask`: one turn. `conversation` is a subject token of the asker's ("" begins a new one); the same
    `key` again is the same turn. `on_behalf_of` is whom a gateway asks for, the person last."""

    message: str
    conversation: str = ""
    key: str = ""
    on_behalf_of: tuple[PrincipalName, ...] = ()


class ChatTaken(Record, frozen=True):
    """The turn is stored and will be answered, whoever dies."""

    conversation: str
    turn: int
    repeated: bool = False


class TurnAskedFor(Record, frozen=True):
    """Verb `watch`: what a turn has come to. Answers as soon as something is newer than `after`, or after
    `wait_seconds` (at most 30) as it stands."""

    conversation: str
    turn: int
    after: int = 0
    wait_seconds: float = 0.0
    on_behalf_of: tuple[PrincipalName, ...] = ()


class TurnTold(Record, frozen=True):
    """`text` is what is said so far: of an open turn it may still change, until `status` is not `open`.

    `waiting_for` is the command that waits for an approval or a confirmation, with its handle in `handle`.
    """

    conversation: str
    turn: int
    revision: int
    status: TurnStatus
    text: str
    outcomes: tuple[ToolOutcome, ...] = ()
    pending_approval: bool = False
    waiting_for: CommandId = CommandId("")
    handle: str = ""


class ConversationsAsked(Record, frozen=True):
    """Verb `list`: the turns of one conversation, the newest last."""

    conversation: str
    limit: int = 20
    on_behalf_of: tuple[PrincipalName, ...] = ()


class TurnListed(Record, frozen=True):
    """One turn, as it was asked and answered."""

    turn: int
    asked_at: datetime
    question: str
    status: TurnStatus
    reply: str


class ConversationTold(Record, frozen=True):
    """The answer."""

    conversation: str
    turns: tuple[TurnListed, ...]


class ResetAsked(Record, frozen=True):
    """Verb `reset`: what was said before is not shown to the model any more. Nothing is deleted."""

    conversation: str
    on_behalf_of: tuple[PrincipalName, ...] = ()


class ResetDone(Record, frozen=True):
    """The answer."""

    conversation: str
