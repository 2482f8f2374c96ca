"""The questions that are answered over request/reply: subject, question, answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from plantops.events.chatting import (
    ChatAsked,
    ChatTaken,
    ConversationsAsked,
    ConversationTold,
    ResetAsked,
    ResetDone,
    TurnAskedFor,
    TurnTold,
)
from plantops.events.command_parts import Approval, Intent, Observation
from plantops.events.queries import (
    ApprovalsListed,
    ApprovalTaken,
    BrowseAsked,
    BrowseTold,
    CircumstancesAsked,
    CircumstancesTold,
    CommandAsked,
    CommandsAsked,
    CommandsListed,
    CommandStatus,
    DeviceReadAsked,
    HeadTold,
    HoldsAsked,
    HoldsListed,
    IntentTaken,
    SightingsAsked,
    SightingsTold,
    TagsAsked,
    TagsTold,
    TwinListed,
)
from plantops.events.tooling import CatalogueAsked, CatalogueTold, ToolAsked, ToolTold


@dataclass(frozen=True, slots=True)
class Service:
    """`subject` as its asker writes it, with its parameters in angle brackets.

    `question` None: nothing needs to be said, an empty message or `{}`. Every service may answer a `Problem`
    instead. `is_envelope`: the question travels in a DSSE envelope (an intent also plain, where the policy
    lets it).
    """

    subject: str
    question: type[msgspec.Struct] | None
    answer: type[msgspec.Struct]
    text: str
    is_envelope: bool = False


SERVICES: Final = (
    Service(
        "intent.<site>.<actor>.<asset>.<operation>",
        Intent,
        IntentTaken,
        "The door: ask for an operation. Who asks is told by the server and checked against the signature.",
        is_envelope=True,
    ),
    Service(
        "approval.<site>.<person>.<command>",
        Approval,
        ApprovalTaken,
        "The door: approve or reject a command that waits for other persons.",
        is_envelope=True,
    ),
    Service("command.<site>.get", CommandAsked, CommandStatus, "Where a command stands."),
    Service("command.<site>.list", CommandsAsked, CommandsListed, "Commands, the newest first."),
    Service("command.<site>.approvals", None, ApprovalsListed, "What waits for another person."),
    Service("command.<site>.holds", HoldsAsked, HoldsListed, "Lock-outs and bypasses in force."),
    Service(
        "command.<site>.circumstances",
        CircumstancesAsked,
        CircumstancesTold,
        "What the gate would hold against an operation: limits' use, lock-outs, bypasses, what is in flight.",
    ),
    Service("twin.<site>.get", TagsAsked, TagsTold, "Last known values with effective quality and age."),
    Service("twin.<site>.watch", TagsAsked, TagsTold, "As get, once something changed after a revision."),
    Service("twin.<site>.list", None, TwinListed, "Sources, and assets with their operations."),
    Service("twin.<site>.sightings", SightingsAsked, SightingsTold, "Where tags stand in the log."),
    Service("read.<site>.<source>", DeviceReadAsked, Observation, "Read tags from the device, now."),
    Service("browse.<site>.<source>", BrowseAsked, BrowseTold, "What the device offers."),
    Service("tool.<site>.<client>.list", CatalogueAsked, CatalogueTold, "Tools and operations."),
    Service("tool.<site>.<client>.search", CatalogueAsked, CatalogueTold, "Those that fit a question best."),
    Service("tool.<site>.<client>.call", ToolAsked, ToolTold, "Use a tool that reads."),
    Service("chat.<site>.<client>.ask", ChatAsked, ChatTaken, "One turn of a conversation with the agent."),
    Service("chat.<site>.<client>.watch", TurnAskedFor, TurnTold, "What a turn has come to, once it is new."),
    Service("chat.<site>.<client>.list", ConversationsAsked, ConversationTold, "A conversation's turns."),
    Service("chat.<site>.<client>.reset", ResetAsked, ResetDone, "Begin anew; nothing is deleted."),
    Service("head.<site>.<writer>", None, HeadTold, "A writer's last audit record; for processes only."),
)
