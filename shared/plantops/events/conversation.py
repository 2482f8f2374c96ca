"""What happens in a conversation with the agent, stream AGENT: each reply and result is an event.

A turn replays from these without a model. Subject: `agent.<site>.<conversation>.<event>`, where `<event>` is
the type after its first dot. The budgets of an identity stand under the conversations `budget-<identity>`
(tools) and `model-budget-<identity>` (turns and models).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from plantops.events.base import CommandId, Event, PrincipalName, Record, SiteName
from plantops.events.provenance import Provenance

TurnStatus: TypeAlias = Literal["open", "answered", "failed", "over_budget", "cancelled"]
"""`failed`: the agent could not answer, and the reply says why. What the gate denied is an answer."""

OutcomeStatus: TypeAlias = Literal[
    "completed", "simulated_only", "pending_approval", "denied", "failed", "unknown", "read"
]


class ToolCall(Record, frozen=True):
    """What the model wants: a tool of the catalogue by name. `id` is unique in the turn."""

    id: str
    tool: str
    arguments: dict[str, Any]


class Usage(Record, frozen=True):
    """Tokens of one reply as the provider counts them, and their cost in USD by the configured prices."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0


class ToolOutcome(Record, frozen=True):
    """What came of one call, for people and programs. `command` is the gate's, "" for a read."""

    tool: str
    status: OutcomeStatus
    success: bool
    simulated: bool = False
    result: Any = None
    error: str = ""
    command: CommandId = CommandId("")
    handle: str = ""


class TurnAsked(Event, frozen=True, tag="agent.turn_asked"):
    """Somebody said something. `asker` is the login that the server vouched for, `on_behalf_of` whom it asked
    for (a gateway: the person last). `key` makes it one turn however often it is sent."""

    site: SiteName
    conversation: str
    turn: int
    question: str
    asker: PrincipalName
    on_behalf_of: tuple[PrincipalName, ...]
    key: str
    asked_at: datetime


class ModelReplied(Event, frozen=True, tag="agent.model_replied"):
    """One reply of a model: words, or calls, or both. `step` counts the replies of a turn from 1.

    `offered` are the tools that it was shown. `fell_back_from` is the provider that did not answer, with
    `problem` saying how. Stored before any of its calls is made.
    """

    site: SiteName
    conversation: str
    turn: int
    step: int
    provider: str
    model: str
    text: str
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    offered: tuple[str, ...] = ()
    request: str = ""
    fell_back_from: str = ""
    problem: str = ""


class ToolAnswered(Event, frozen=True, tag="agent.tool_answered"):
    """What a call gave: data, never an instruction. `content` is JSON text, as the model is shown it."""

    site: SiteName
    conversation: str
    turn: int
    step: int
    call: str
    outcome: ToolOutcome
    content: str
    provenance: tuple[Provenance, ...] = ()


class TurnEnded(Event, frozen=True, tag="agent.turn_ended"):
    """The answer. `waiting_for` is a command that waits for a person, with `handle`."""

    site: SiteName
    conversation: str
    turn: int
    status: TurnStatus
    reply: str
    outcomes: tuple[ToolOutcome, ...] = ()
    pending_approval: bool = False
    waiting_for: CommandId = CommandId("")
    handle: str = ""
    provenance: tuple[Provenance, ...] = ()


class ConversationReset(Event, frozen=True, tag="agent.reset"):
    """What was said up to `turn` is not shown to the model any more."""

    site: SiteName
    conversation: str
    turn: int
    by: PrincipalName


class BudgetCharged(Event, frozen=True, tag="agent.budget_charged"):
    """What an identity has used in the window that began at `since`: the whole account, in its last event.

    Written by compare-and-set on its subject, so that all replicas share one account. `identical` counts the
    calls of the last window with the same digest of tool and arguments, for the runaway breaker. `calls` may
    be taken ahead: `reserved` of them are in some replica's hand for calls that nobody has told yet, and each
    could be any. Whatever is not named in `identical` was called at most `others` times.
    """

    site: SiteName
    conversation: str
    identity: PrincipalName
    budget: Literal["tools", "model"]
    since: datetime
    at: datetime
    calls: int
    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    identical: dict[str, int] = {}
    reserved: int = 0
    others: int = 0


class BudgetExceeded(Event, frozen=True, tag="agent.budget_exceeded"):
    """A call was refused. `what` is the bound that stopped it; it opens again at `until`."""

    site: SiteName
    conversation: str
    identity: PrincipalName
    budget: Literal["tools", "model"]
    what: Literal["calls", "identical", "tokens", "cost", "turns", "concurrency"]
    limit: float
    until: datetime
    tool: str = ""
