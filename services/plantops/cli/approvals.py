"""`plantops approvals`, `approve`, `reject`: the second person."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from plantops.cli.following import describe
from plantops.cli.output import DEMO_FOLDER, Folder, Json, User, exact, out, print_json, safe, table
from plantops.cli.session import Session, run, session
from plantops.events import EventUnreadable, decode
from plantops.events.commands import ApprovalAccepted, ApprovalRefused, ApprovalRequested
from plantops.events.envelope import Message
from plantops.events.governance import ApprovalWithdrawn
from plantops.events.queries import ApprovalsListed, CommandStatus
from plantops.flow.results import listen_to_results
from plantops.flow.words import new_approval
from plantops.runtime.errors import Refused

ANSWER_SECONDS = 10.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="approvals")(approvals)
    app.command(name="approve")(approve)
    app.command(name="reject")(reject)


def approvals(folder: Folder = DEMO_FOLDER, user: User = "", json: Json = False) -> None:
    """List what waits for a second person."""
    run(_approvals(folder, user, json=json))


async def _approvals(folder: Path, user: str, *, json: bool) -> None:
    async with session(folder, user, quiet=json) as here:
        told = await here.ask("command", "approvals", None, ApprovalsListed)
    if json:
        print_json(told)
        return
    table(
        "waiting for approval",
        ("command", "operation", "arguments", "asked by", "needed", "approved by", "until"),
        (
            (
                handle,
                f"{each.asset}.{each.operation}",
                ", ".join(f"{safe(name)}={exact(value)}" for name, value in each.arguments.items()) or "-",
                each.requester,
                whose_word(each, others),
                ", ".join(by) or "-",
                f"{each.expires_at:%H:%M:%S} UTC",
            )
            for each, handle, by, others in zip(
                told.waiting, told.handles, told.approved_by, told.escalated_to, strict=True
            )
        ),
    )


def whose_word(asked: ApprovalRequested, others: tuple[str, ...]) -> str:
    """How many of whom must approve; `others` were asked beside them, since nobody answered."""
    text = f"{asked.needed} of {', '.join(asked.roles)}"
    if others:
        return f"{text}; escalated to {', '.join(others)}"
    return text if asked.escalates_at is None else f"{text}; escalates {asked.escalates_at:%H:%M:%S} UTC"


def approve(
    command: Annotated[str, typer.Argument(help="c12 or the identity.")],
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: Json = False,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
) -> None:
    """Approve a command that somebody else asked for."""
    run(_answer(folder, user, command, "approve", reason, json=json))


def reject(
    command: Annotated[str, typer.Argument(help="c12 or the identity.")],
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: Json = False,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
) -> None:
    """Reject a command that waits."""
    run(_answer(folder, user, command, "reject", reason, json=json))


async def _answer(
    folder: Path,
    user: str,
    command: str,
    verdict: Literal["approve", "reject"],
    reason: str,
    *,
    json: bool,
) -> None:
    async with session(folder, user, quiet=json) as here:
        answer, status = await give(here, command, verdict, reason)
    if isinstance(answer, ApprovalRefused):
        raise Refused(f"{status.handle}: {answer.reason}", reason="approval_refused")
    if isinstance(answer, ApprovalWithdrawn):
        raise Refused(f"{status.handle} is withdrawn: {answer.reason}", reason="approval_withdrawn")
    if json:
        print_json(status)
        return
    counted = f" ({answer.given} of {answer.needed})" if isinstance(answer, ApprovalAccepted) else ""
    out.print(
        f"{verdict}d {status.handle} {status.asset}.{status.operation}{counted}: {safe(describe(status))}"
    )


async def give(
    here: Session, command: str, verdict: Literal["approve", "reject"], reason: str = ""
) -> tuple[object, CommandStatus]:
    """Sign and send a person's word; returns the gate's answer and where the command stands then.

    Raises: Refused when it does not wait, or when the gate says nothing in time.
    """
    status = await here.client.command(command)
    wanted = await here.client.waiting(status.command)
    if wanted is None:
        raise Refused(
            f"{status.handle} does not wait for an approval: {describe(status)}", reason="not_waiting"
        )
    approval = new_approval(here.site.name, here.name, wanted, verdict, reason=reason)
    heard: asyncio.Queue[object] = asyncio.Queue()

    async def hear(message: Message) -> None:
        try:
            await heard.put(decode(message.data))
        except EventUnreadable:
            return

    subject = f"cmd.{here.site.name}.*.gate.{status.command}"
    listening = await listen_to_results(here.bus, subject, hear)
    try:
        await here.send_approval(approval)
        answer = await asyncio.wait_for(heard.get(), ANSWER_SECONDS)
    except TimeoutError as error:
        raise Refused(f"the gate did not answer for {status.handle}: look again", reason="late") from error
    finally:
        await listening.stop()
    return answer, await here.client.command(status.command)
