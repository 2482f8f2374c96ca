"""The gate as a process: the fold that decides, the door before it, and the audit behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from plantops.events import event_type
from plantops.events.base import Record, SiteName, encode_json
from plantops.events.envelope import Message
from plantops.events.queries import CommandAsked, CommandsAsked, problem
from plantops.events.subjects import service
from plantops.flow.audited import keep_auditing
from plantops.flow.context import Context
from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.observing import Observer
from plantops.flow.policies import follow
from plantops.flow.processor import Reads
from plantops.flow.shell import Shell
from plantops.gate import answers
from plantops.gate.core import EMITS, Gate, inputs_of
from plantops.gate.door import Door
from plantops.gate.state import GateState
from plantops.policy.document import TrustRoot

NAME = "gate"
VERBS = ("get", "list", "approvals")

R = TypeVar("R", bound=Record)


def gate_spec(site: str) -> ProcessSpec:
    """What the gate may do on the broker."""
    emitted = tuple(event_type(kind) for kind in EMITS)
    return ProcessSpec(
        name=NAME,
        reads=(*inputs_of(site, NAME), own_events(site)),
        writes=(
            Writes("INTENTS", (f"intent.{site}.*.*.*",), ("command.requested",)),
            Writes("APPROVALS", (f"approval.{site}.*.*",), ("approval.received",)),
            Writes("COMMANDS", (f"cmd.{site}.*.{NAME}.*",), emitted),
            Writes("DEAD", (f"dead.{NAME}",), ("message.buried",)),
        ),
        lookups=("POLICY", "DEFINITIONS", "TAGS"),
        public=tuple(service("command", site, verb) for verb in VERBS),
        door=(f"door.intent.{site}.>", f"door.approval.{site}.>"),
        asks=(service("twin", site, "sightings"),),
        audits=True,
        snapshots=True,
    )


def own_events(site: str) -> Reads:
    """The gate's own words, read once more to put each into the audit."""
    return Reads("COMMANDS", (f"cmd.{site}.*.{NAME}.*",), kind="effect", name="audit")


async def run_gate(context: Context, root: TrustRoot) -> None:
    """Until cancelled. Raises: Fenced when another gate took over."""
    assert context.auditor is not None
    shell = Shell(
        Gate(context.site, context.plant, root),
        context.bus,
        context.signer,
        context.in_force,
        site=context.site,
    )
    await shell.restore()
    observer = Observer(context.site, context.bus, context.plant, context.in_force, context.now)
    door = Door(
        site=context.site,
        bus=context.bus,
        signer=context.signer,
        plant=context.plant,
        state=lambda: shell.state,
        observe=observer.observe,
        refuse=_refusals(context),
        now=context.now,
    )
    for subject, handler in _services(context.site, lambda: shell.state).items():
        await context.bus.serve(subject, handler)
    await context.bus.serve(f"door.intent.{context.site}.>", door.intent)
    await context.bus.serve(f"door.approval.{context.site}.>", door.approval)
    context.ready()
    async with asyncio.TaskGroup() as group:
        group.create_task(shell.run())
        group.create_task(keep_auditing(context, own_events(context.site)))
        group.create_task(follow(context.bus, context.in_force))


class DoorRefused(Record, frozen=True):
    """Audit body of what the door turned away."""

    login: str
    subject: str
    reason: str


def _refusals(context: Context) -> Callable[[str, str, str], Awaitable[None]]:
    async def refuse(login: str, subject: str, reason: str) -> None:
        assert context.auditor is not None
        body = encode_json(DoorRefused(login=login, subject=subject[:256], reason=reason[:1024]))
        context.auditor.note("door.refused", body)

    return refuse


def _services(
    site: SiteName, state: Callable[[], GateState]
) -> dict[str, Callable[[Message], Awaitable[bytes]]]:
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

    handlers = {"get": get, "list": listed, "approvals": approvals}
    return {service("command", site, verb): handlers[verb] for verb in VERBS}


def _read(message: Message, kind: type[R]) -> R | bytes:
    try:
        return msgspec.json.decode(message.data or b"{}", type=kind)
    except msgspec.DecodeError as error:
        return problem("malformed", f"{message.subject}: {error}")
