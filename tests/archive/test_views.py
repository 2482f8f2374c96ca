"""The views say what the tables hold, and nothing in the tables can make them endless."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from plantops.archive.command_views import LONGEST_CHAIN
from plantops.archive.store import Store
from plantops.archive.views import VIEW_TEXTS, VIEWS, create_views
from support.archive_story import TALK, Morning, fill, morning

DAY = morning()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "live.duckdb"
    fill(path, DAY).close()
    return path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(Path(shutil.copy(whole, tmp_path)), "demo")
    yield opened
    opened.close()


def asked(store: Store, sql: str, *values: object) -> list[dict[str, Any]]:
    found = store.connection.execute(sql, values)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def command(store: Store, name: str) -> dict[str, Any]:
    (row,) = asked(store, "SELECT * FROM commands WHERE command = ?", DAY.asked[name])
    return row


def test_every_view_can_be_read_and_explained(store: Store) -> None:
    assert {name for name, _select in VIEWS} == set(VIEW_TEXTS)
    for name in VIEW_TEXTS:
        assert asked(store, f"SELECT * FROM {name} LIMIT 1"), name


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [
        ("proposed", "simulated", "confirmed by c2"),
        ("speed", "executed", ""),
        ("denied", "denied", "permissive:cool: pump-001.temperature is 96.0 Cel, must be <= 95.0"),
        ("reset", "failed", "plc1.reset reads back false, true was written"),
        ("stop", "executed", ""),
        ("valve", "outcome_unknown", "its executor died between claim and answer"),
        ("open", "simulated", "waits for its confirmation"),
    ],
)
def test_a_command_has_one_row_that_says_how_it_ended(
    store: Store, name: str, state: str, reason: str
) -> None:
    row = command(store, name)
    assert (row["state"], row["reason"]) == (state, reason)
    assert row["is_final"] == (state != "simulated")


def test_a_command_says_who_why_by_whose_leave_and_what_was_written(store: Store) -> None:
    row = command(store, "reset")
    assert (row["actor"], row["person"], row["why"]) == ("alice", "Alice", "the fault is repaired")
    assert (row["risk"], row["approvals"], row["approved_by"]) == ("critical", 2, "bob, carol")
    assert (row["written"], row["verified"], row["duration_ms"]) == ("plc1.reset = 1", False, 7100.0)
    assert command(store, "proposed")["correlation"] == TALK
    assert command(store, "stop")["safe_direction"]


def test_what_the_executor_finds_out_later_replaces_only_outcome_unknown(store: Store) -> None:
    def later(kind: str, reason: str) -> None:
        store.connection.execute(
            "INSERT INTO step SELECT * REPLACE (sequence + 1 AS sequence, ? AS command, ? AS type, "
            "? AS reason, true AS is_final) FROM step ORDER BY sequence DESC LIMIT 1",
            [DAY.asked["valve"], kind, reason],
        )

    later("command.failed", "nothing was written")
    assert command(store, "valve")["reason"] == "nothing was written"
    later("command.executed", "")
    later("command.cancelled", "by the gate")
    assert command(store, "valve")["state"] == "failed"


def test_what_happened_at_the_device_counts_before_a_cancellation_that_came_too_late(store: Store) -> None:
    store.connection.execute(
        "INSERT INTO step SELECT * REPLACE (0 AS sequence, 'command.cancelled' AS type) FROM step "
        "WHERE command = ? AND type = 'command.executed'",
        [DAY.asked["speed"]],
    )
    assert command(store, "speed")["state"] == "executed"


def test_the_causes_of_a_confirmed_write_lead_back_to_the_first_question(store: Store) -> None:
    chain = asked(store, "SELECT * FROM causes WHERE command = ? ORDER BY depth", DAY.asked["speed"])
    assert [(link["type"], link["how"]) for link in chain] == [
        ("command.executed", ""),
        ("command.permitted", "ordered"),
        ("command.requested", "told"),
        ("command.simulated", "confirmed"),
        ("command.dry_run", "told"),
        ("command.simulation_ordered", "ordered"),
        ("command.requested", "told"),
    ]
    assert chain[-1]["about"] == DAY.asked["proposed"]
    assert chain[-1]["correlation"] == TALK


def test_the_causes_of_an_approved_write_hold_the_last_approval_and_the_intent(store: Store) -> None:
    chain = asked(store, "SELECT * FROM causes WHERE command = ? ORDER BY depth", DAY.asked["reset"])
    kinds = [link["type"] for link in chain]
    assert kinds[:4] == [
        "command.failed",
        "command.permitted",
        "approval.received",
        "command.approval_requested",
    ]
    assert kinds[-1] == "command.requested"


def test_the_causes_of_a_cancelled_command_name_the_stop(store: Store) -> None:
    chain = asked(store, "SELECT * FROM causes WHERE command = ? ORDER BY depth", DAY.asked["outrun"])
    assert chain[0]["ended_as"] == "command.cancelled"
    assert (chain[1]["about"], chain[1]["how"], chain[1]["who"]) == (DAY.asked["stop"], "told", "bob")


def test_a_circle_of_told_causes_ends(store: Store) -> None:
    store.connection.execute("UPDATE intent SET causation = id WHERE command = ?", [DAY.asked["denied"]])
    chain = asked(store, "SELECT * FROM causes WHERE command = ?", DAY.asked["denied"])
    assert max(link["depth"] for link in chain) == LONGEST_CHAIN


def test_the_audit_state_says_what_no_checkpoint_covers(store: Store) -> None:
    (row,) = asked(store, "SELECT * FROM audit_state")
    assert (row["records"], row["covered"], row["uncovered"], row["refusal"]) == (10, 8, 2, "")
    assert row["last_checkpoint_age_seconds"] == 2.0
    store.connection.execute("DELETE FROM audit WHERE position = 3")
    store.connection.execute(
        "INSERT INTO checkpoint SELECT * REPLACE (sequence + 1 AS sequence, 0 AS size, "
        "'gap at record 3' AS refusal) FROM checkpoint"
    )
    (row,) = asked(store, "SELECT * FROM audit_state")
    assert (row["missing"], row["covered"], row["refusal"]) == (1, 8, "gap at record 3")


def test_the_audit_state_of_an_empty_archive_is_one_row(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "live.duckdb", "demo")
    (row,) = asked(store, "SELECT * FROM audit_state")
    assert (row["records"], row["covered"], row["uncovered"]) == (0, 0, 0)
    assert asked(store, "SELECT * FROM source_health") == []
    assert asked(store, "SELECT * FROM commands") == []
    store.close()


def test_a_source_is_fresh_while_its_frames_are_younger_than_two_periods(store: Store) -> None:
    rows = {row["source"]: row for row in asked(store, "SELECT * FROM source_health")}
    assert rows["plc1"]["is_fresh"]
    assert not rows["opc1"]["is_fresh"]
    assert (rows["plc1"]["device"], rows["plc1"]["owner"]) == ("up", "adapter-plc1")
    assert (rows["plc1"]["gaps_last_hour"], rows["plc1"]["lost_last_hour"]) == (2, 18)
    assert rows["plc1"]["gaps_of_unknown_size"] == 1
    assert rows["plc1"]["good_share_last_minute"] == pytest.approx(70 / 72)
    assert rows["plc1"]["samples_per_second"] == 72 / 60


def test_a_source_that_only_lost_samples_is_shown_and_not_fresh(store: Store) -> None:
    store.connection.execute("INSERT INTO gap SELECT * REPLACE ('silent' AS source) FROM gap LIMIT 1")
    (row,) = asked(store, "SELECT * FROM source_health WHERE source = 'silent'")
    assert (row["device"], row["is_fresh"], row["samples_per_second"]) == ("unknown", False, 0)


def test_a_roll_up_tells_mean_range_and_share_of_good_samples(store: Store) -> None:
    (row,) = asked(store, "SELECT * FROM tag_1h WHERE tag = 'plc1.temperature'")
    (wanted,) = asked(
        store,
        "SELECT avg(value) FILTER (is_good) AS mean, min(value) FILTER (is_good) AS minimum, "
        "max(value) FILTER (is_good) AS maximum, avg(is_good::INTEGER) AS quality_share "
        "FROM samples WHERE tag = 'plc1.temperature'",
    )
    assert {name: row[name] for name in wanted} == pytest.approx(wanted)
    assert (row["last"], row["unit"]) == (64.0, "Cel")


def test_views_can_be_made_again_and_are_the_same(store: Store) -> None:
    before = asked(store, "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY view_name")
    create_views(store.connection)
    assert (
        asked(store, "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY view_name")
        == before
    )


def test_views_hold_in_a_file_of_the_storage_version_that_dashboards_open(
    store: Store, tmp_path: Path
) -> None:
    tables = [row["table_name"] for row in asked(store, "SELECT table_name FROM duckdb_tables()")]
    cursor = store.cursor()
    cursor.execute(f"ATTACH '{tmp_path / 'old.duckdb'}' AS old (STORAGE_VERSION 'v1.5.0')")
    for table in tables:
        cursor.execute(f"CREATE TABLE old.{table} AS SELECT * FROM live.main.{table}")
    cursor.execute("USE old")
    create_views(cursor)
    cursor.execute("USE live")
    cursor.execute("DETACH old")
    with duckdb.connect(str(tmp_path / "old.duckdb"), read_only=True) as old:
        for name, _select in VIEWS:
            wanted = asked(store, f"SELECT * FROM {name} ORDER BY ALL")
            found = old.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall()
            assert found == [tuple(row.values()) for row in wanted], name


def test_the_story_is_told_the_same_every_time() -> None:
    again: Morning = morning()
    assert again.asked == DAY.asked
