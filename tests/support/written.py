"""What the simulated devices saw, held against the records that must have been there before."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plantops.audit.records import read_records
from plantops.events.base import CommandId
from plantops.events.commands import CommandClaimed, CommandExecuted, CommandPermitted
from plantops.policy.audit_keys import writers_of
from support.history import Life, policy_of
from support.site import RunningSite

VALVE = "opc1.valve.command"


@dataclass(frozen=True, slots=True)
class DeviceWrite:
    """One write, by the device's own count, on the clock of this one machine."""

    number: int
    name: str
    value: float
    at: datetime


@dataclass(frozen=True, slots=True)
class ClaimRecord:
    """A `command.claimed` in AUDIT. `made_at` is the writer's word, `there_at` when a disk had it: AUDIT's by
    the broker's clock, or before that the signed local journal's by the writer's log."""

    command: CommandId
    made_at: datetime
    stored_at: datetime
    journaled_at: datetime | None

    @property
    def there_at(self) -> datetime:
        return self.stored_at if self.journaled_at is None else min(self.stored_at, self.journaled_at)


async def device_writes(site: RunningSite) -> list[DeviceWrite]:
    """All of them, in order; none may be missing."""
    found: list[DeviceWrite] = []
    while page := (await site.plant({"written": len(found)}))["written"]:
        found += [
            DeviceWrite(each["number"], each["name"], each["value"], datetime.fromisoformat(each["at"]))
            for each in page
        ]
    assert [write.number for write in found] == list(range(1, len(found) + 1)), "the device forgot writes"
    return found


def logged(site: RunningSite, event: str) -> Iterator[dict[str, Any]]:
    """The lines of that name in the log of the hosts."""
    for line in (site.root / "logs" / "field.log").read_text(errors="replace").splitlines():
        if line.startswith("{") and f'"{event}"' in line:
            told = json.loads(line)
            if told.get("event") == event:
                yield told


async def claim_records(site: RunningSite) -> list[ClaimRecord]:
    """Every claim in AUDIT; for one that the journal held first, when it did."""
    async with site.auditor() as bus:
        records = await read_records(bus, site="demo", trusted=writers_of(policy_of(site)), last=1_000_000)
    stood_in = [
        (told["command"], datetime.fromisoformat(told["at"]))
        for told in logged(site, "audit.journaled")
        if told["kind"] == "command.claimed"
    ]
    found = []
    for shown in records:
        record = shown.record
        assert record is not None, shown.finding
        if record.kind == "command.claimed":
            assert shown.writer.startswith("adapter-"), shown
            times = [at for command, at in stood_in if command == record.command and at >= record.at]
            found.append(
                ClaimRecord(
                    CommandId(record.command), record.at, shown.stored_at, min(times) if times else None
                )
            )
    return found


def written_at(life: Life) -> list[datetime]:
    """When its executor says that it wrote."""
    return [
        step.written_at
        for event in life.events
        for step in getattr(event, "steps", ())
        if step.written_at is not None
    ]


def check_normal(
    writes: list[DeviceWrite], records: list[ClaimRecord], found: Mapping[CommandId, Life]
) -> None:
    """Each write to the valve is one command's, which wrote no other, and whose claim AUDIT had stored."""
    audited: dict[CommandId, datetime] = {}
    for record in records:
        if record.command in found:
            assert record.journaled_at is None, f"{record.command} was let through by the journal alone"
            audited.setdefault(record.command, record.stored_at)
    wanted: dict[CommandId, float] = {command: _percent(life) for command, life in found.items()}
    done: set[CommandId] = set()
    for write in writes:
        fitting = [
            (audited[command], command)
            for command, percent in wanted.items()
            if command in audited and abs(percent - write.value) < 1e-3 and audited[command] <= write.at
        ]
        assert fitting, f"{write} was made before AUDIT had the record of any command that asks for it"
        command = max(fitting)[1]
        assert command not in done, f"{write}: {command} was carried out twice"
        done.add(command)
    for command, life in found.items():
        assert command in done or not life.count(CommandExecuted), f"{command}: the device saw no write"
        for at in written_at(life):
            assert command in audited, f"{command} was written and its claim is not in AUDIT"
            assert audited[command] <= at, f"{command} was written before its record"


def check_stops(
    site: RunningSite,
    writes: list[DeviceWrite],
    records: list[ClaimRecord],
    found: Mapping[CommandId, Life],
) -> None:
    """No stop without a record on a disk before it, AUDIT's or the journal's; and AUDIT has each in the end.

    Stops all write the same value, so the n-th write is held against the n-th record; only a stop that a host
    did once more behind a crash may have been written more than once.
    """
    assert not list(logged(site, "audit.stop_without_record"))
    there: dict[CommandId, datetime] = {}
    for record in records:
        if record.command in found:
            there[record.command] = min(record.there_at, there.get(record.command, record.there_at))
    for command, life in found.items():
        for at in written_at(life):
            assert command in there, f"the stop {command} was written and its claim is not in AUDIT"
            assert there[command] <= at, f"the stop {command} was written before any record of it"
    times = sorted(record.there_at for record in records if record.command in found)
    assert all(write.value == 0.0 for write in writes)
    assert len(writes) <= len(times), f"{len(writes)} writes, {len(times)} records"
    for write, at in zip(writes, times, strict=False):
        assert at <= write.at, f"{write} had no record before it"
    again = sum(told["command"] in found for told in logged(site, "command.again"))
    claimed = sum(life.count(CommandClaimed) for life in found.values())
    assert len(writes) <= claimed + again, f"{len(writes)} writes, {claimed} claims, {again} done again"


async def check_writes(
    site: RunningSite,
    found: Mapping[CommandId, Life],
    *,
    normal: Collection[CommandId],
    stops: Collection[CommandId],
) -> str:
    """Everything that the devices saw was recorded first, and done once. Gives the figures."""
    writes, records = await device_writes(site), await claim_records(site)
    assert {write.name for write in writes} <= {"valve", "run"}
    valve = [write for write in writes if write.name == "valve"]
    run = [write for write in writes if write.name == "run"]
    check_normal(valve, records, {each: found[each] for each in normal})
    check_stops(site, run, records, {each: found[each] for each in stops})
    early = {
        record.command
        for record in records
        if record.journaled_at is not None and record.journaled_at < record.stored_at
    }
    overtaken = [
        command
        for command in early
        if any(
            at < min(record.stored_at for record in records if record.command == command)
            for at in written_at(found[command])
        )
    ]
    return (
        f"{len(valve)} valve writes, {len(run)} stop writes, {len(records)} claim records; "
        f"{len(early)} stops stood in the journal first, {len(overtaken)} were written before AUDIT had them"
    )


def _percent(life: Life) -> float:
    """What its permit lets it write; no number where it has none."""
    writes = [
        write.value
        for event in life.events
        if isinstance(event, CommandPermitted)
        for write in event.permit.writes
        if write.tag == VALVE
    ]
    return float(writes[0]) if writes else float("nan")
