"""From an intent to its outcome: how long, with how many synced appends, and how small the last window is."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from plantops.audit.records import ShownRecord, read_records
from plantops.audit.trust import trust_of
from plantops.bench.demo import Desk, demo_site, settled
from plantops.bench.figures import Bench, Figure, Load, Tell, figure, percentile, percentiles
from plantops.bench.machine import fsync_seconds
from plantops.deployment.broker import connect
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.events import Event, decode, event_type
from plantops.events.base import Scalar
from plantops.events.command_parts import Intent, command_id
from plantops.events.commands import (
    CommandClaimed,
    CommandDenied,
    CommandExecuted,
    CommandFailed,
    CommandPermitted,
    CommandSimulated,
    OutcomeUnknown,
)
from plantops.events.envelope import Message
from plantops.flow.bus import Bus
from plantops.runtime.errors import Refused
from plantops.runtime.nkey import NKey

COMMANDS = 30
GOAL_APPENDS = 6.0
GOAL_PERMIT_MS = 20.0
PATIENCE_SECONDS = 30.0
_ENDS = (CommandExecuted, CommandFailed, CommandDenied, OutcomeUnknown, CommandSimulated)


@dataclass
class Course:
    """What was heard of one command; `seconds` from before it was signed to its outcome, `permit_seconds` to
    the gate's permit.

    `audits` are records that an act waited for; `beside` those that were stored meanwhile or after.
    """

    seconds: float = 0.0
    permit_seconds: float = 0.0
    events: list[Event] = field(default_factory=list)
    batches: set[str] = field(default_factory=set)
    audits: int = 0
    beside: int = 0

    @property
    def appends(self) -> int:
        """Synced appends in a row: the intent, each batch on COMMANDS, each audit record waited for."""
        return 1 + len(self.batches) + self.audits


async def _follow(demo: Desk, audit: Bus, intent: Intent) -> Course:
    """Send and hear until its end. Raises: Refused, TimeoutError."""
    course, ended = Course(), asyncio.Event()

    async def hear(message: Message) -> None:
        event = decode(message.data)
        course.events.append(event)
        # Events that one input caused are stored as one batch, with one sync.
        headers = {name.lower(): value for name, value in message.headers.items()}
        course.batches.add(headers.get("nats-batch-id") or f"alone {len(course.events)}")
        if isinstance(event, CommandPermitted):
            course.permit_seconds = time.perf_counter() - begun
        if isinstance(event, _ENDS):
            course.seconds = time.perf_counter() - begun
            ended.set()

    command = command_id(intent.actor, intent.key)
    listening = await demo.bus.listen(f"cmd.{demo.site.name}.*.*.{command}", hear)
    begun = time.perf_counter()
    try:
        await demo.send(intent)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await ended.wait()
    finally:
        await listening.stop()
    records = await _audited(demo, audit, command)
    course.audits = sum(_is_waited_for(record) for record in records)
    course.beside = len(records) - course.audits
    return course


async def _audited(demo: Desk, audit: Bus, command: str) -> list[ShownRecord]:
    """Records about the command that are stored when its outcome was heard."""
    folder = demo.site.folder
    trusted = trust_of(verify_envelope(folder, read_envelope(folder)).policy).trusted
    return await read_records(audit, site=demo.site.name, trusted=trusted, last=20, command=command)


def _is_waited_for(shown: ShownRecord) -> bool:
    """The executor waits until its claim is audited; its outcome it tells before the record of it.

    The gate's own words are audited from what is stored, beside the way.
    """
    return shown.record is not None and shown.record.kind == event_type(CommandClaimed)


async def _executed(demo: Desk, audit: Bus, intent: Intent) -> tuple[Course, CommandExecuted]:
    course = await _follow(demo, audit, intent)
    last = course.events[-1]
    if not isinstance(last, CommandExecuted):
        raise Refused(f"{intent.asset}.{intent.operation} was not executed: {last}", reason="bench")
    await settled(demo, PATIENCE_SECONDS)
    return course, last


async def medium(demo: Desk, audit: Bus, number: int) -> tuple[Course, CommandExecuted]:
    """A command of medium risk to its outcome. Raises: Refused, TimeoutError."""
    arguments: dict[str, Scalar] = {"PERCENT": 30.0 + number % 40}
    return await _executed(demo, audit, demo.intent("valve-001", "SetPosition", arguments))


async def _high(demo: Desk, audit: Bus, number: int) -> tuple[Course, CommandExecuted]:
    """Simulated first, which is not counted; then confirmed."""
    arguments: dict[str, Scalar] = {"RPM": 900 + number % 100}
    asked = demo.intent("pump-001", "SetSpeed", arguments)
    simulated = await _follow(demo, audit, asked)
    last = simulated.events[-1]
    if not isinstance(last, CommandSimulated):
        raise Refused(f"pump-001.SetSpeed was not simulated: {last}", reason="bench")
    return await _executed(demo, audit, demo.intent("pump-001", "SetSpeed", arguments, confirms=last))


async def run(load: Load, tell: Tell) -> list[Figure]:
    """One command after the other, each to its outcome."""
    count = load.count(COMMANDS, least=2)
    figures: list[Figure] = []
    rows = (
        ("medium", "intent -> outcome, valve-001.SetPosition (medium)", medium),
        ("high", "confirmation -> outcome, pump-001.SetSpeed (high)", _high),
    )
    async with AsyncExitStack() as stack:
        demo = await stack.enter_async_context(demo_site())
        login = NKey.load(demo.site.folder.identity("auditor").login)
        audit = await connect(demo.site, "auditor", login)
        stack.push_async_callback(audit.close)
        disk = await asyncio.to_thread(fsync_seconds, demo.site.folder.root, 200)
        note = f"fsync p50 {1000 * percentile(disk, 0.5):.2f} ms, p99 {1000 * percentile(disk, 0.99):.2f} ms"
        for name, title, act in rows:
            told = []
            for number in range(count):
                tell(f"{title}, {number + 1} of {count}")
                told.append(await act(demo, audit, number))
            figures += _told(name, title, note, told)
    return figures


def _told(name: str, title: str, note: str, told: list[tuple[Course, CommandExecuted]]) -> list[Figure]:
    seconds = [course.seconds for course, _ in told]
    appends = max(course.appends for course, _ in told)
    course = max((course for course, _ in told), key=lambda each: each.appends)
    parts = (
        f"at most: 1 intent, {len(course.batches)} on COMMANDS, {course.audits} on AUDIT; "
        f"{course.beside} audit records beside"
    )
    windows = [event.window_ms / 1000 for _, event in told]
    return [
        *percentiles(f"commands.{name}", title, seconds, shares=(50, 99), note=note),
        *percentiles(
            f"commands.{name}.permit",
            f"{title}: sent -> permit",
            [course.permit_seconds for course, _ in told],
            shares=(50, 99),
            goals={99: GOAL_PERMIT_MS},
            note=f"two synced appends, the intent and the permit; {note}",
        ),
        figure(
            f"commands.{name}.appends",
            f"{title}: synced appends in a row",
            appends,
            "appends",
            better="lower",
            goal=GOAL_APPENDS,
            note=parts,
        ),
        *percentiles(
            f"commands.{name}.window", f"{title}: last judged read -> first write", windows, shares=(50, 99)
        ),
    ]


BENCH = Bench("commands", "Commands: intent to outcome", run)
