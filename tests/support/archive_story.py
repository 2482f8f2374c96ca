"""A morning at the demo plant, as the archive holds it: frames, judged commands, troubles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from plantops.archive.batch import Batch, Position
from plantops.archive.samples import StoredFrame, block_of, frame_row
from plantops.archive.series import SeriesBook
from plantops.archive.store import Store, insert
from plantops.events import Event
from plantops.events.base import CommandId, Scalar, SourceName, TagName, to_nanoseconds
from plantops.events.command_parts import ObservedInput, StepResult, Write
from plantops.events.commands import (
    CommandExecuted,
    CommandFailed,
    CommandPermitted,
    OutcomeUnknown,
    SafePermitted,
)
from plantops.events.frames import Frame, Sample, decode_frame, encode_frame, pack, resolve
from plantops.events.operations import CheckpointSigned
from plantops.events.sources import GapRecorded, LeaseTaken, SourceLost, SourceUp
from plantops.events.tags import SourceDefined, layout_of
from support.archive_log import Log, batch_of
from support.gate_samples import OPC1, PLC1, POLICY, SITE, VALVE, Story, after, well
from support.plant_samples import NOW

TEMPERATURE, LOCAL, SETPOINT = TagName("plc1.temperature"), TagName("plc1.local"), TagName("plc1.setpoint")
TALK = "conversation-7"
ROLLUPS = {"rollup_1s": "second", "rollup_1m": "minute", "rollup_1h": "hour"}


@dataclass
class Morning:
    """`asked` names the commands of the story."""

    story: Story = field(default_factory=Story)
    frames: list[tuple[SourceDefined, Frame, int]] = field(default_factory=list)
    asked: dict[str, CommandId] = field(default_factory=dict)
    sources: list[tuple[str, Event, int]] = field(default_factory=list)

    @property
    def now_ns(self) -> int:
        return to_nanoseconds(self.story.now)

    def frame(self, definition: SourceDefined, *samples: tuple[TagName, Scalar | None, int]) -> int:
        """Store a frame of now; its sequence in TAGS."""
        observed_at = self.now_ns - 3_000_000
        index = {tag.name: number for number, tag in enumerate(definition.tags)}
        packed = pack(
            definition,
            layout_of(definition),
            [Sample(index[tag], value, quality, observed_at - 1_000_000) for tag, value, quality in samples],
            epoch=1,
            sequence=len(self.frames) + 1,
            observed_at=observed_at,
            confirms=b"\0",
        )
        self.frames.append((definition, resolve(decode_frame(encode_frame(packed)), definition), self.now_ns))
        return len(self.frames)

    def plc(self, temperature: float, *, quality: int = 192) -> None:
        """The pump's state, once a second."""
        self.story.wait(1)
        value = temperature if quality >= 64 else None
        self.frame(PLC1, (TEMPERATURE, value, quality), (LOCAL, False, 192), (SETPOINT, 900.0, 192))

    def seen(self, temperature: float) -> tuple[ObservedInput, ...]:
        """What an observer tells of the newest frame."""
        at = self.story.now - timedelta(milliseconds=4)
        sequence = len(self.frames)
        return tuple(
            ObservedInput(
                tag=tag, value=value, quality=192, age_seconds=0.2, source_time=at, sequence=sequence
            )
            for tag, value in ((LOCAL, False), (TEMPERATURE, temperature))
        )

    def ask(
        self, name: str, operation: str, arguments: dict[str, Scalar], temperature: float, **more: object
    ) -> CommandId:
        observation = well(*self.seen(temperature), at=self.story.now)
        command = self.story.ask(operation, arguments, observation=observation, **more)  # type: ignore[arg-type]
        self.asked[name] = command
        return command

    def source(self, kind: str, event: Event) -> None:
        self.sources.append((kind, event, self.now_ns))


def write(
    tag: str, value: Scalar, before: Scalar, at: Story, *, read_back: Scalar, problem: str = ""
) -> StepResult:
    return StepResult(
        write=Write(tag=TagName(tag), value=value),
        before=before,
        before_quality=192,
        written_at=at.now,
        read_back=read_back,
        verified=not problem,
        problem=problem,
    )


def morning() -> Morning:
    """An agent proposes a speed, alice confirms it; bob is denied; two approve; a stop outruns a request."""
    day = Morning()
    story = day.story
    plc1 = SourceName("plc1")
    day.source("lease", LeaseTaken(source=plc1, epoch=1, owner="adapter-plc1", ttl_seconds=5.0))
    day.source("up", SourceUp(source=plc1, epoch=1, detail="127.0.0.1:502"))
    for second in range(20):
        day.plc(60.0 + second / 10, quality=24 if second in (7, 8) else 192)
    day.frame(OPC1, (TagName("opc1.command"), 40.0, 192))
    _changed_speed(day)
    _denied(day)
    _approved(day)
    _stopped(day)
    _valve(day)
    day.source("lost", SourceLost(source=plc1, epoch=1, cause="no answer for 1.0 s"))
    story.wait(6)
    day.source("up", SourceUp(source=plc1, epoch=1))
    day.source(
        "gap", GapRecorded(source=plc1, epoch=1, first=30, last=35, frames=6, samples=18, cause="outbox_full")
    )
    day.source(
        "gap", GapRecorded(source=plc1, epoch=1, first=0, last=0, frames=0, samples=0, cause="device_overrun")
    )
    day.plc(64.0)
    return day


def _changed_speed(day: Morning) -> None:
    story = day.story
    simulated = day.ask(
        "proposed",
        "SetSpeed",
        {"RPM": 1200.0},
        61.9,
        actor="agent",
        on_behalf_of=("alice",),
        reason="the tank fills too slowly",
    )
    story.wait(0.05)
    story.dry_run(simulated, *day.seen(61.9))
    day.plc(62.0)
    confirmed = day.ask(
        "speed",
        "SetSpeed",
        {"RPM": 1200.0},
        62.0,
        confirms=simulated,
        reason="agreed, line 2 needs more water",
    )
    decision = story.one(CommandPermitted).decision
    story.wait(0.02)
    story.claim(confirmed)
    story.wait(0.03)
    executed = CommandExecuted(
        site=SITE,
        command=confirmed,
        steps=(write("plc1.setpoint", 1200.0, 900.0, story, read_back=1200.0),),
        undo=(Write(tag=SETPOINT, value=900.0),),
        window_ms=1.25,
        decision=decision,
    )
    story.tell("COMMANDS", f"cmd.{SITE}.executed.adapter-plc1.{confirmed}", executed, "adapter-plc1")


def _denied(day: Morning) -> None:
    day.plc(96.0)
    day.ask("denied", "SetSpeed", {"RPM": 1300.0}, 96.0, actor="bob", reason="more pressure")
    day.plc(62.5)


def _approved(day: Morning) -> None:
    story = day.story
    wanted = story.waiting(reason="the fault is repaired")
    day.asked["reset"] = wanted.command
    story.approve(wanted, "alice", reason="my own")
    story.wait(4)
    story.approve(wanted, "bob", reason="looked at it on site")
    story.wait(3)
    story.approve(wanted, "carol", reason="agreed with maintenance")
    story.one(CommandPermitted)
    story.claim(wanted.command)
    story.wait(0.1)
    failed = CommandFailed(
        site=SITE,
        command=wanted.command,
        reason="plc1.reset reads back false, true was written",
        written=True,
        steps=(
            write(
                "plc1.reset",
                True,
                False,
                story,
                read_back=False,
                problem="reads back false, true was written",
            ),
        ),
        decision=None,
    )
    story.tell("COMMANDS", f"cmd.{SITE}.failed.adapter-plc1.{wanted.command}", failed, "adapter-plc1")


def _stopped(day: Morning) -> None:
    story = day.story
    story.wait(2)
    day.asked["outrun"] = story.simulated(actor="dave")
    story.wait(1)
    day.asked["stop"] = stop = story.ask("StopPump", blind=True, actor="bob", reason="smell of smoke")
    decision = story.one(SafePermitted).decision
    story.wait(0.01)
    story.claim(stop)
    story.wait(0.02)
    executed = CommandExecuted(
        site=SITE,
        command=stop,
        steps=(write("plc1.run", False, True, story, read_back=False),),
        undo=(),
        window_ms=0.8,
        decision=decision,
    )
    story.tell("COMMANDS", f"cmd.{SITE}.executed.adapter-plc1.{stop}", executed, "adapter-plc1")


def _valve(day: Morning) -> None:
    """An executor dies in the middle, and finds out later that nothing was written."""
    story = day.story
    story.wait(1)
    valve = day.asked["valve"] = story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE, actor="dave")
    story.claim(valve, by="adapter-opc1")
    story.wait(0.5)
    unknown = OutcomeUnknown(site=SITE, command=valve, reason="its executor died between claim and answer")
    story.tell("COMMANDS", f"cmd.{SITE}.outcome_unknown.adapter-opc1.{valve}", unknown, "adapter-opc1")
    # A new policy withdraws what waits; what is asked under it stays open.
    story.publish(after(POLICY, moc="the next revision"))
    day.asked["open"] = story.simulated(actor="dave", rpm=1100.0)


def log_of(day: Morning) -> Log:
    """All events of the story, as they were stored."""
    log = Log()
    log.judged(day.story.gate, day.story.history, talks={day.asked["proposed"]: TALK})
    for kind, event, at_ns in day.sources:
        log.append("SOURCES", f"source.{SITE}.plc1.{kind}", event, at_ns=at_ns, signer="adapter-plc1")
    log.append(
        "CHECKPOINTS",
        f"checkpoint.{SITE}",
        CheckpointSigned(
            site=SITE, size=8, root="f3", note="plantops.example/demo\n8\n8zM=\n\n- demo AAAA\n"
        ),
        at_ns=day.now_ns - 2_000_000_000,
        signer="notary",
    )
    return log


def plant_batches(day: Morning) -> Iterator[Batch]:
    """Frames and samples, a batch per frame."""
    book = SeriesBook({}, ())
    for sequence, (definition, frame, at_ns) in enumerate(day.frames, 1):
        batch = Batch()
        numbers = book.numbers(definition, frame.layout, sequence, batch)
        stored = StoredFrame(sequence, at_ns // 1000, f"adapter-{definition.source}", frame, numbers)
        batch.add("frame", frame_row(stored))
        if (block := block_of([stored])) is not None:
            batch.samples.append(block)
        yield batch


def other_batch(day: Morning) -> Batch:
    """What no event told: audit records, a message that nobody could read, a hole, positions."""
    batch = Batch()
    at = day.now_ns // 1000
    for position in range(10):
        words = ("gate", position + 1, at - 3_000_000, "event", "", "", f"{position:064x}", "{}")
        batch.add("audit", (position, *words))
    batch.add(
        "unread",
        (
            "COMMANDS",
            900,
            at,
            "cmd.demo.executed.gate.x",
            "command.executed",
            "untrusted",
            "UntrustedKey: signed by nobody who is trusted here",
            "{}",
            b"{}",
        ),
    )
    batch.add("hole", ("SOURCES", 40, 44, at, "missing"))
    for stream in ("TAGS", "COMMANDS", "AUDIT"):
        batch.positions[stream] = Position(1000, "2026-03-01T00:00:00Z", at)
    return batch


def fill(path: Path, day: Morning) -> Store:
    """An archive that holds the whole story, open."""
    store = Store.open(path, SITE)
    with store.transaction() as connection:
        for batch in (*plant_batches(day), batch_of(log_of(day).entries), other_batch(day)):
            insert(connection, batch)
        for table, unit in ROLLUPS.items():
            connection.execute(
                f"""INSERT INTO {table}
                SELECT series, date_trunc('{unit}', observed_at), count(*), count(*) FILTER (quality >= 192),
                       count(*) FILTER (quality BETWEEN 64 AND 127),
                       count(value) FILTER (quality >= 192), min(value) FILTER (quality >= 192),
                       max(value) FILTER (quality >= 192), sum(value) FILTER (quality >= 192),
                       arg_max(value, observed_at), arg_max(text, observed_at),
                       arg_max(quality, observed_at), max(observed_at)
                FROM sample GROUP BY ALL"""
            )
    return store


__all__ = ["NOW", "Morning", "fill", "log_of", "morning", "other_batch", "plant_batches"]
