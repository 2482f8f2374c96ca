"""What the gate says of commands: one, the newest, what waits for approval, and what holds an asset."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from plantops.events import Event
from plantops.events.base import AssetName, CommandId, PrincipalName, Record
from plantops.events.command_parts import Decision, Finding
from plantops.events.commands import ApprovalRequested
from plantops.events.provenance import Provenance
from plantops.events.queries import (
    ApprovalsListed,
    CommandAsked,
    CommandsAsked,
    CommandsListed,
    CommandStatus,
    HoldsAsked,
    HoldsListed,
)
from plantops.events.subjects import service
from plantops.flow.reading import UNUSABLE, read_event
from plantops.tools.contract import Arguments, Call, Page, Tool, ToolError
from plantops.tools.reading.cursors import bad_cursor, cut

_ALL: Final = 1000
"""As many of the newest commands as the gate tells at a time."""

# The gate's word that holds the judgement by which a command stands as it does.
_JUDGED: Final = {
    "denied": ("denied",),
    "simulating": ("simulation_ordered",),
    "simulated": ("simulated",),
    "waiting": ("simulated",),
    "permitted": ("permitted", "safe_permitted"),
    "ordered": ("reconcile_ordered",),
    "done": ("act_done",),
}


class CommandStatusOf(Arguments, frozen=True):
    """Which command."""

    command: Annotated[
        str, Meta(min_length=1, max_length=64, description="A handle such as c12, or the command's identity.")
    ]


class StatusGiven(Record, frozen=True):
    """Where a command stands, and by which findings of the gate; () where its judgement is not kept."""

    status: CommandStatus
    findings: tuple[Finding, ...] = ()
    judged_at: datetime | None = None


async def command_status(call: Call, asked: CommandStatusOf) -> Page[StatusGiven]:
    """The gate's status, with the decision that stands in COMMANDS."""
    question = CommandAsked(command=asked.command)
    status = await call.ask(service("command", call.site, "get"), question, CommandStatus)
    sequence, decision = await _judgement(call, status)
    return Page(
        StatusGiven(
            status=status,
            findings=decision.findings if decision is not None else (),
            judged_at=decision.now if decision is not None else None,
        ),
        provenance=(_of(status.handle or status.command, sequence),),
    )


async def _judgement(call: Call, status: CommandStatus) -> tuple[int, Decision | None]:
    """The newest word of the gate that tells its judgement, and where that stands."""
    for kind in _JUDGED.get(status.phase, ()):
        stored = await call.bus.last("COMMANDS", f"cmd.{call.site}.{kind}.*.{status.command}")
        if stored is None:
            continue
        try:
            event: Event = read_event(stored, call.in_force)[0]
        except UNUSABLE:
            return stored.sequence, None
        decision: Any = getattr(event, "decision", None)
        return stored.sequence, decision if isinstance(decision, Decision) else None
    last = await call.bus.last("COMMANDS", f"cmd.{call.site}.*.*.{status.command}")
    return (last.sequence if last is not None else 0), None


class CommandList(Arguments, frozen=True):
    """Which commands."""

    open_only: Annotated[bool, Meta(description="Only those that are not at their end.")] = False
    asset: Annotated[str, Meta(max_length=64, description="Of one asset; empty: of all.")] = ""
    actor: Annotated[str, Meta(max_length=64, description="Asked by one principal; empty: by anybody.")] = ""
    phase: Annotated[str, Meta(max_length=64, description="In one phase, such as denied; empty: in any.")] = (
        ""
    )


class CommandsGiven(Record, frozen=True):
    """The newest first. `total` counts all that the gate remembers, before any filter but `open_only`; only
    the newest 1,000 of them are looked through."""

    commands: tuple[CommandStatus, ...]
    total: int


async def command_list(call: Call, asked: CommandList) -> Page[CommandsGiven]:
    """A page of commands; the cursor is the last one told, since new ones come on top meanwhile."""
    question = CommandsAsked(limit=_ALL, open_only=asked.open_only)
    told = await call.ask(service("command", call.site, "list"), question, CommandsListed)
    found = [one for one in _behind(told.commands, call.cursor) if _is_wanted(one, asked)]
    page = found[: call.rows]
    return Page(
        CommandsGiven(commands=tuple(page), total=told.total),
        provenance=tuple(_of(one.handle or one.command, 0) for one in page),
        next=page[-1].command if len(found) > len(page) else "",
    )


def _behind(commands: Sequence[CommandStatus], cursor: str) -> Sequence[CommandStatus]:
    if not cursor:
        return commands
    for place, one in enumerate(commands):
        if one.command == cursor:
            return commands[place + 1 :]
    if len(cursor) > 64:
        raise bad_cursor(cursor)
    raise ToolError(
        "not_kept", "the command at which the page before ended is not listed any more: begin again"
    )


def _is_wanted(one: CommandStatus, asked: CommandList) -> bool:
    wanted = ((asked.asset, one.asset), (asked.actor, one.actor), (asked.phase, one.phase))
    return all(what in ("", found) for what, found in wanted)


class ApprovalsList(Arguments, frozen=True):
    """Nothing to say."""


class Waiting(Record, frozen=True):
    """A command that waits for other persons, what they must sign, and who has approved so far."""

    handle: str
    request: ApprovalRequested
    approved_by: tuple[PrincipalName, ...]
    escalated_to: tuple[str, ...] = ()


class ApprovalsGiven(Record, frozen=True):
    """The oldest first."""

    waiting: tuple[Waiting, ...]
    total: int


async def approvals_list(call: Call, _asked: ApprovalsList) -> Page[ApprovalsGiven]:
    """What waits for a second person."""
    told = await call.ask(service("command", call.site, "approvals"), b"{}", ApprovalsListed)
    escalated = told.escalated_to or ((),) * len(told.waiting)
    waiting = [
        Waiting(handle=handle, request=request, approved_by=approved, escalated_to=roles)
        for request, handle, approved, roles in zip(
            told.waiting, told.handles, told.approved_by, escalated, strict=True
        )
    ]
    page, following = cut(waiting, call.cursor, call.rows)
    return Page(
        ApprovalsGiven(waiting=tuple(page), total=len(waiting)),
        provenance=tuple(_of(one.handle, 0) for one in page),
        next=following,
    )


class HoldsList(Arguments, frozen=True):
    """Which holds."""

    asset: Annotated[str, Meta(max_length=64, description="On one asset; empty: on any.")] = ""


class Hold(Record, frozen=True):
    """A lock-out, under which only the safe direction passes; or a bypass, by which `permissive` does not
    count until `expires_at` and `measure` makes up for it."""

    kind: Literal["lockout", "bypass"]
    handle: str
    command: CommandId
    asset: AssetName
    owner: PrincipalName
    reason: str
    since: datetime
    expires_at: datetime | None = None
    permissive: str = ""
    measure: str = ""


class HoldsGiven(Record, frozen=True):
    """Lock-outs first, then bypasses, each the oldest first."""

    holds: tuple[Hold, ...]
    total: int


async def holds_list(call: Call, asked: HoldsList) -> Page[HoldsGiven]:
    """What the gate holds assets by."""
    question = HoldsAsked(asset=AssetName(asked.asset))
    told = await call.ask(service("command", call.site, "holds"), question, HoldsListed)
    locks = [
        Hold(
            kind="lockout",
            handle=handle,
            command=one.lock,
            asset=one.asset,
            owner=one.owner,
            reason=one.reason,
            since=one.since,
        )
        for one, handle in zip(told.lockouts, told.lockout_handles, strict=True)
    ]
    bypasses = [
        Hold(
            kind="bypass",
            handle=handle,
            command=one.bypass,
            asset=one.asset,
            owner=one.owner,
            reason=one.reason,
            since=one.since,
            expires_at=one.expires_at,
            permissive=one.permissive,
            measure=one.measure,
        )
        for one, handle in zip(told.bypasses, told.bypass_handles, strict=True)
    ]
    page, following = cut([*locks, *bypasses], call.cursor, call.rows)
    return Page(
        HoldsGiven(holds=tuple(page), total=len(locks) + len(bypasses)),
        provenance=tuple(_of(one.handle or one.command, 0) for one in page),
        next=following,
    )


def _of(name: str, sequence: int) -> Provenance:
    return Provenance(channel="command", name=name, stream="COMMANDS" if sequence else "", sequence=sequence)


COMMAND_STATUS: Final = Tool(
    name="command-status",
    description=(
        "Where one command stands: phase, outcome, what it takes to go on, and each finding of the gate that "
        "allowed or denied it. This answers why something was denied."
    ),
    risk="low",
    arguments=CommandStatusOf,
    result=StatusGiven,
    work=command_status,
)

COMMAND_LIST: Final = Tool(
    name="command-list",
    description="The newest commands, of one asset, actor or phase where asked, with how each stands.",
    risk="low",
    arguments=CommandList,
    result=CommandsGiven,
    work=command_list,
    items="commands",
)

APPROVALS_LIST: Final = Tool(
    name="approvals-list",
    description=(
        "Commands that wait for the approval of another person. Only persons approve, with their own key."
    ),
    risk="low",
    arguments=ApprovalsList,
    result=ApprovalsGiven,
    work=approvals_list,
    items="waiting",
)

HOLDS_LIST: Final = Tool(
    name="holds-list",
    description=(
        "Lock-outs and bypasses in force: what keeps assets from being commanded, or a permissive from "
        "counting."
    ),
    risk="low",
    arguments=HoldsList,
    result=HoldsGiven,
    work=holds_list,
    items="holds",
)
