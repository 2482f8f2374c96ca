"""Every event that can be said has its rows, and the same ones when they are made again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from golden.gate_stories import STORIES, read_history
from plantops.archive.columns import rows_table
from plantops.archive.command_rows import split
from plantops.archive.entries import Entry, entry_from_row, entry_of, entry_row, entry_rows
from plantops.archive.journal import PROJECTED, WITHOUT_ROWS, derived
from plantops.archive.store import Store, insert
from plantops.archive.tables import TABLES
from plantops.events import EVENT_TYPES, Event, EventUnreadable, TypeUnknown, VersionUnknown, encode
from plantops.events.commands import CommandCancelled, CommandExecuted, CommandPermitted
from plantops.events.envelope import CAUSATION, CORRELATION, DATA_SCHEMA, EVENT_ID
from plantops.events.operations import CheckpointRefused, PolicyPublished
from plantops.events.sources import GapRecorded, SourceLost
from plantops.flow.bus import Stored
from plantops.gate.core import Gate
from plantops.policy.document import policy_digest
from support.archive_log import Log, batch_of, rows_of
from support.gate_samples import PLANT, POLICY, ROOT, SITE, envelope

AT_NS = 1_772_366_400_123_456_789
COMMANDS = sorted(kind for kind, stream in PROJECTED.items() if stream == "COMMANDS")


SIMPLE: dict[type[Any], Any] = {
    msgspec.inspect.DateTimeType: "2026-05-04T12:00:00Z",
    msgspec.inspect.BoolType: True,
    msgspec.inspect.IntType: 7,
    msgspec.inspect.FloatType: 1.5,
    msgspec.inspect.StrType: "text",
    msgspec.inspect.AnyType: {"any": [1, "thing"]},
}


def example(kind: Any) -> Any:
    """A value of any type that events use, with every field filled and one element in each list."""
    match kind:
        case msgspec.inspect.StructType():
            filled = {field.encode_name: example(field.type) for field in kind.fields}
            return {**({kind.tag_field: kind.tag} if kind.tag_field else {}), **filled}
        case msgspec.inspect.UnionType():
            return example(next(one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType)))
        case msgspec.inspect.VarTupleType() | msgspec.inspect.ListType():
            return [example(kind.item_type)]
        case msgspec.inspect.DictType():
            return {"name": example(kind.value_type)}
        case msgspec.inspect.LiteralType():
            return kind.values[0]
    return SIMPLE[type(kind)]


def example_of(kind: type[Event]) -> Event:
    return msgspec.convert(example(msgspec.inspect.type_info(kind)), kind)


def named(table: str, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(TABLES[table].names, row, strict=True))


def stored(stream: str, subject: str, event: Event) -> Stored:
    return Stored(stream, 12, subject, encode(event), AT_NS, {})


def entry(stream: str, event: Event, subject: str = "cmd.demo.x.gate.abc", signer: str = "gate") -> Entry:
    return entry_of(stored(stream, subject, event), event, signer)


@pytest.mark.parametrize("kind", sorted(EVENT_TYPES))
def test_every_event_type_has_rows_or_a_reason_why_not(kind: str) -> None:
    assert (kind in PROJECTED) != (kind in WITHOUT_ROWS)
    event = example_of(EVENT_TYPES[kind])
    rows = list(derived(entry(PROJECTED.get(kind, "TAGS"), event)))
    assert bool(rows) == (kind in PROJECTED)
    for table, row in rows:
        assert rows_table(TABLES[table], [row]).num_rows == 1


@pytest.mark.parametrize("kind", sorted(PROJECTED))
def test_an_event_on_a_strange_stream_has_no_rows(kind: str) -> None:
    assert list(derived(entry("ALARMS", example_of(EVENT_TYPES[kind])))) == []


@pytest.mark.parametrize("kind", COMMANDS)
def test_every_step_that_carries_a_decision_tells_it(kind: str) -> None:
    event = example_of(EVENT_TYPES[kind])
    tables = {table for table, _row in derived(entry("COMMANDS", event))}
    carries = isinstance(getattr(event, "decision", None), msgspec.Struct)
    assert {"decision", "ruling", "evidence"} <= tables if carries else tables <= {"step", "written"}


@pytest.mark.parametrize("name", sorted(STORIES))
def test_the_rows_of_a_history_come_again_from_its_events(name: str) -> None:
    log = Log()
    log.judged(Gate(SITE, PLANT, ROOT), read_history(name))
    again = [entry_from_row(entry_row(one)) for one in log.entries]
    assert again == log.entries
    rows = list(rows_of(log.entries))
    assert list(rows_of(again)) == rows
    for table in {table for table, _row in rows}:
        places = [TABLES[table].names.index(column) for column in TABLES[table].key]
        keys = [tuple(row[place] for place in places) for named, row in rows if named == table]
        assert len(keys) == len(set(keys)), table


def test_a_row_that_came_back_from_the_file_gives_the_same_entry(tmp_path: Any) -> None:
    log = Log()
    log.judged(Gate(SITE, PLANT, ROOT), read_history("approved"))
    store = Store.open(tmp_path / "live.duckdb", "demo")
    with store.transaction() as connection:
        insert(connection, batch_of(log.entries))
    found = store.connection.execute("SELECT * FROM event ORDER BY stored_at, rowid").fetchall()
    assert sorted(map(entry_from_row, found), key=place) == sorted(log.entries, key=place)
    store.close()


def place(one: Entry) -> tuple[str, int]:
    return one.stream, one.sequence


def test_an_entry_keeps_the_exact_text_and_what_its_headers_say() -> None:
    event = CommandCancelled(site=SITE, command="abc", reason="stopped")  # type: ignore[arg-type]
    data = b'{"new_field":1, "type":"command.cancelled","site":"demo","command":"abc","reason":"stopped"}'
    headers = {
        EVENT_ID: "gate.INTENTS.4.0",
        CAUSATION: "intents.abc",
        CORRELATION: "talk-1",
        DATA_SCHEMA: "urn:plantops:event:command.cancelled:1",
    }
    found = entry_of(
        Stored("COMMANDS", 3, "cmd.demo.cancelled.gate.abc", data, AT_NS, headers), event, "gate"
    )
    assert found.body.encode() == data
    assert (found.id, found.causation, found.correlation) == ("gate.INTENTS.4.0", "intents.abc", "talk-1")
    assert (found.command, found.version, found.stored_at) == ("abc", 1, AT_NS // 1000)


def test_a_message_without_an_id_is_named_by_its_place() -> None:
    assert entry("COMMANDS", example_of(CommandCancelled)).id == "COMMANDS.12"


def test_bytes_that_are_no_text_are_unreadable() -> None:
    event = example_of(CommandCancelled)
    damaged = Stored("COMMANDS", 1, "cmd.demo.cancelled.gate.abc", b"\xff", AT_NS)
    with pytest.raises(EventUnreadable, match="UTF-8"):
        entry_of(damaged, event, "gate")


def test_a_header_that_is_no_text_is_unreadable() -> None:
    event = example_of(CommandCancelled)
    strange = Stored("COMMANDS", 1, "cmd.demo.x.gate.abc", encode(event), AT_NS, {CAUSATION: "a\udcff"})
    with pytest.raises(EventUnreadable, match=CAUSATION):
        entry_of(strange, event, "gate")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"type": "source.sang"}, TypeUnknown),
        ({"version": 9}, VersionUnknown),
        ({"type": "source.lost"}, EventUnreadable),
        ({"body": "{"}, EventUnreadable),
        ({"sequence": "twelve"}, EventUnreadable),
    ],
)
def test_a_row_that_is_no_event_of_ours_is_refused(change: dict[str, Any], error: type[Exception]) -> None:
    row = dict(
        zip(TABLES["event"].names, entry_row(entry("COMMANDS", example_of(CommandCancelled))), strict=True)
    )
    with pytest.raises(error):
        entry_from_row(tuple({**row, **change}.values()))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, (None, None)),
        (True, (1.0, None)),
        (False, (0.0, None)),
        (0.1, (0.1, None)),
        (2**53, (float(2**53), None)),
        (2**53 + 1, (float(2**53), "9007199254740993")),
        (-(2**63) + 1, (-(2.0**63), "-9223372036854775807")),
        (10**400, (None, str(10**400))),
        ("", (None, "")),
        ("7", (None, "7")),
    ],
)
def test_a_value_is_kept_exactly(value: Any, wanted: tuple[float | None, str | None]) -> None:
    assert split(value) == wanted


def test_a_number_that_fits_no_column_is_refused_by_name() -> None:
    gap = example_of(GapRecorded)
    huge = msgspec.structs.replace(gap, samples=2**63)
    with pytest.raises(EventUnreadable, match=r"gap\.samples"):
        entry_rows(entry("SOURCES", huge))


def test_a_time_without_a_zone_is_utc() -> None:
    event: CommandPermitted = example_of(CommandPermitted)  # type: ignore[assignment]
    naive = msgspec.structs.replace(event.decision, now=datetime(2026, 5, 4, 12))  # noqa: DTZ001
    aware = msgspec.structs.replace(event.decision, now=datetime(2026, 5, 4, 12, tzinfo=UTC))

    def judged_at(decision: Any) -> int:
        rows = dict(derived(entry("COMMANDS", msgspec.structs.replace(event, decision=decision))))
        return int(named("decision", rows["decision"])["judged_at"])

    assert judged_at(naive) == judged_at(aware) == 1_777_896_000_000_000


def test_a_write_shows_what_stood_there_and_how_it_was_proved() -> None:
    event: CommandExecuted = example_of(CommandExecuted)  # type: ignore[assignment]
    rows = dict(derived(entry("COMMANDS", event)))
    written = named("written", rows["written"])
    assert (written["before_value"], written["verified"], written["verify"]) == (1.0, True, "echo")


def test_a_policy_is_kept_under_the_digest_of_what_was_signed() -> None:
    told = PolicyPublished(site=SITE, revision=1, digest="lie", envelope=envelope(POLICY))  # type: ignore[arg-type]
    (row,) = (row for _table, row in derived(entry("POLICY", told, "policy.demo")))
    assert row[3] == policy_digest(msgspec.json.encode(POLICY))
    broken = msgspec.structs.replace(told, envelope="{")
    (row,) = (row for _table, row in derived(entry("POLICY", broken, "policy.demo")))
    assert row[3] == ""


def test_a_refusal_of_the_notary_stands_among_its_checkpoints() -> None:
    event = CheckpointRefused(site=SITE, kind="gap", detail="record 3 is missing", index=3, note="")
    ((table, row),) = derived(entry("CHECKPOINTS", event, "checkpoint.demo", "notary"))
    assert table == "checkpoint"
    assert (
        dict(zip(TABLES[table].names, row, strict=True))["refusal"] == "gap at record 3: record 3 is missing"
    )


def test_whatever_stands_on_findings_is_a_finding_of_the_analyser_in_its_subject() -> None:
    event = SourceLost(source="plc1", epoch=1, cause="silence")  # type: ignore[arg-type]
    ((table, row),) = derived(entry("FINDINGS", event, "finding.demo.drift", "diagnostics"))
    assert table == "finding"
    assert row[2:] == ("drift", "source.lost", encode(event).decode())
