"""Every ready question has an answer, the page shows just these, and a wrong query is told plainly."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from plantops.archive import asking
from plantops.archive.asking import Age, Limits, Snapshot, opened
from plantops.archive.mistakes import sentence
from plantops.archive.questions import QUESTIONS
from plantops.archive.serving import serve
from plantops.cli.query import values_of
from plantops.runtime.errors import IntegrityError, Refused, StorageBusy, StorageError
from support.archive_story import TALK, fill, morning
from support.query_page import PAGE, renewed, sections

DAY = morning()
SINCE = "2026-03-01T00:00:00"
GIVEN = {"command": "c2", "since": SINCE, "tag": "plc1.setpoint", "conversation": TALK}
# What the story has none of.
EMPTY = {"why-not", "findings"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of the story, as the archive serves it."""
    folder = tmp_path_factory.mktemp("archive")
    store = fill(folder / "live.duckdb", DAY)
    serve(store.cursor(), folder / "plantops.duckdb")
    store.close()
    return folder / "plantops.duckdb"


@pytest.fixture
def snapshot(served: Path) -> Iterator[Snapshot]:
    with opened(served) as found:
        yield found


def answer(snapshot: Snapshot, name: str, **given: str) -> list[dict[str, Any]]:
    question = QUESTIONS[name]
    values = {parameter.name: {**GIVEN, **given}[parameter.name] for parameter in question.parameters}
    found = snapshot.ask(question.sql, values)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_every_question_is_answered_from_the_served_snapshot(snapshot: Snapshot, name: str) -> None:
    assert bool(answer(snapshot, name)) != (name in EMPTY)


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_every_question_says_what_it_uses(name: str) -> None:
    question = QUESTIONS[name]
    assert question.name == name
    assert question.answers.endswith("?")
    for parameter in question.parameters:
        assert f"${parameter.name}" in question.sql
    assert question.sql.count("$") >= len(question.parameters)


def test_the_page_shows_every_question_with_its_sql_and_its_answer(tmp_path: Path) -> None:
    text = PAGE.read_text()
    assert sections(text) == list(QUESTIONS)
    for question in QUESTIONS.values():
        assert f"\n### {question.name}\n\n{question.answers}\n" in text
    fill(tmp_path / "live.duckdb", DAY).close()
    with opened(tmp_path / "live.duckdb") as found:
        assert renewed(text, found) == text, "write it again: PYTHONPATH=tests python -m support.query_page"


def test_a_command_is_known_by_handle_and_by_identity(snapshot: Snapshot) -> None:
    assert answer(snapshot, "steps", command="c2") == answer(snapshot, "steps", command=DAY.asked["speed"])
    assert answer(snapshot, "steps", command="c999") == []


def test_a_denial_names_the_rule_that_did_not_hold(snapshot: Snapshot) -> None:
    (row,) = answer(snapshot, "why-not", command="c3")
    assert (row["rule"], row["verdict"]) == ("permissive:cool", "false")
    assert "96.0" in row["text"]


def test_the_cause_chain_of_a_write_leads_to_the_question_and_to_tag_values(snapshot: Snapshot) -> None:
    rows = answer(snapshot, "cause-chain", command=DAY.asked["speed"])
    assert rows[0]["type"] == "command.executed"
    assert "plc1.temperature = 62 (frame 22)" in rows[0]["rests_on"]
    assert (rows[-1]["who"], rows[-1]["correlation"]) == ("agent", TALK)
    assert "the tank fills too slowly" in rows[-1]["says"]


def test_the_chain_of_an_approved_command_holds_the_word_of_a_person(snapshot: Snapshot) -> None:
    rows = answer(snapshot, "cause-chain", command="c4")
    assert {"who": "carol", "says": "approve: agreed with maintenance"}.items() <= next(
        row for row in rows if row["type"] == "approval.received"
    ).items()


def test_evidence_stands_in_its_frame_as_it_was_judged(snapshot: Snapshot) -> None:
    rows = answer(snapshot, "evidence", command="c2")
    assert rows
    for row in rows:
        assert (row["judged"], row["quality"]) == (row["in_frame"], row["quality_in_frame"])
        assert row["signer"] == "adapter-plc1"


def test_an_approval_that_did_not_count_is_told_with_the_reason(snapshot: Snapshot) -> None:
    said = {row["person"]: row["gate"] for row in answer(snapshot, "approvals")}
    assert said["carol"] == "counted: carol: 2 of 2"
    assert said["alice"].startswith("refused: ")


def test_every_judgement_stands_under_a_published_policy(snapshot: Snapshot) -> None:
    assert {row["revision"] for row in answer(snapshot, "policy-in-force")} == {1, 2}


def test_a_stop_names_what_it_overtook(snapshot: Snapshot) -> None:
    (row,) = answer(snapshot, "stops")
    assert (row["handle"], row["overtook"]) == ("c6", "c5")


def test_lost_samples_and_outages_are_told_with_their_cause(snapshot: Snapshot) -> None:
    assert {(row["cause"], row["samples"]) for row in answer(snapshot, "gaps")} == {
        ("outbox_full", 18),
        ("device_overrun", 0),
    }
    (outage,) = answer(snapshot, "outages")
    assert (outage["seconds"], outage["cause"]) == (6.0, "no answer for 1.0 s")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '/etc/hostname'",
        "SELECT * FROM glob('/*')",
        "COPY (SELECT 1) TO 'stolen.csv'",
        "EXPORT DATABASE 'stolen'",
        "ATTACH 'other.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '8GB'",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "SELECT * FROM secret",
        "SELECT getenv('HOME')",
        "DELETE FROM event",
        "CREATE TABLE mine AS SELECT 1",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_a_query_reads_this_file_and_nothing_else(
    snapshot: Snapshot, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DuckDB finds what a program has in its variables by their names, unless told not to.
    monkeypatch.setattr(asking, "secret", pa.table({"key": ["hidden"]}), raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused):
        list(snapshot.ask(sql).rows)
    assert list(tmp_path.iterdir()) == []


def test_a_query_that_does_not_end_is_ended(served: Path) -> None:
    with opened(served, Limits(seconds=0.3)) as found, pytest.raises(Refused, match=r"gave up after 0\.3 s"):
        list(found.ask("SELECT count(*) FROM range(1000000000000) a, range(1000) b").rows)


def test_a_query_that_needs_too_much_memory_fails_and_writes_nothing(served: Path) -> None:
    with opened(served, Limits(memory_megabytes=64)) as found, pytest.raises(Refused, match="64 MB"):
        list(found.ask("SELECT * FROM range(100000000) t(i) ORDER BY random()").rows)
    assert {path.name for path in served.parent.iterdir()} <= {served.name, "live.duckdb", "spill"}


def test_a_new_snapshot_may_take_the_place_of_the_one_that_is_read(served: Path, tmp_path: Path) -> None:
    path = tmp_path / "plantops.duckdb"
    path.write_bytes(served.read_bytes())
    with opened(path) as found:
        rows = found.ask("SELECT * FROM sample, range(100)").rows
        next(rows)
        fresh = tmp_path / "fresh"
        fresh.write_bytes(served.read_bytes())
        fresh.replace(path)
        assert len(list(rows)) + 1 == 100 * len(list(found.ask("SELECT * FROM sample").rows))


def test_no_question_fails_while_snapshots_are_renamed_into_place(served: Path, tmp_path: Path) -> None:
    path, data, is_over = tmp_path / "plantops.duckdb", served.read_bytes(), threading.Event()
    path.write_bytes(data)

    def serve_on() -> int:
        times = 0
        while not is_over.is_set():
            part = tmp_path / ".part"
            part.write_bytes(data)
            part.replace(path)
            times += 1
        return times

    with ThreadPoolExecutor(1) as archive:
        served_times = archive.submit(serve_on)
        try:
            for _ in range(50):
                with opened(path) as found:
                    assert len(list(found.ask("SELECT * FROM commands").rows)) == 8
        finally:
            is_over.set()
        assert served_times.result() > 1


def test_the_age_is_what_the_snapshot_tells(snapshot: Snapshot) -> None:
    age = snapshot.age()
    assert age.newest_at == datetime(2026, 3, 1, 12, 0, 41, 730_000, UTC)
    assert age.written_at > age.newest_at


def test_a_file_that_does_not_tell_its_age_is_as_old_as_its_last_change(tmp_path: Path) -> None:
    path = tmp_path / "other.duckdb"
    duckdb.connect(str(path)).close()
    with opened(path) as found:
        assert found.age() == Age(datetime.fromtimestamp(path.stat().st_mtime, UTC), None)


def test_a_file_that_cannot_be_asked_is_told_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="plantops status"), opened(tmp_path / "none.duckdb"):
        pass
    (tmp_path / "text.duckdb").write_text("no database")
    with pytest.raises(IntegrityError, match=r"text\.duckdb"), opened(tmp_path / "text.duckdb"):
        pass


def test_columns_of_one_name_are_told_apart(snapshot: Snapshot) -> None:
    assert snapshot.ask("SELECT 1 AS a, 2 AS a, 3 AS a_1").columns == ("a", "a_1", "a_1_1")


def test_values_of_a_question_go_in_bound_and_not_pasted(snapshot: Snapshot) -> None:
    assert answer(snapshot, "steps", command="' OR true --") == []


def test_the_default_of_a_time_counts_from_the_newest_message(snapshot: Snapshot) -> None:
    assert values_of(QUESTIONS["gaps"], [], snapshot.age()) == {"since": "2026-02-28T12:00:41.730000"}


NAMES = {"commands": ("handle", "operation"), "event": ("body", "type")}


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (
            'Catalog Error: Table with name evnt does not exist!\nDid you mean "pg_am"?\n\nLINE 1: SELECT',
            "Table with name evnt does not exist (did you mean 'event'?): see `plantops query --tables`",
        ),
        (
            'Binder Error: Referenced column "operatoin" not found in FROM clause!\n\nLINE 3: operatoin',
            "Referenced column \"operatoin\" not found in FROM clause in line 3 (did you mean 'operation'?): "
            "see `plantops query --tables`",
        ),
        (
            'Binder Error: Referenced table "evnt" not found!\nCandidate tables: "x"',
            "Referenced table \"evnt\" not found (did you mean 'event'?): see `plantops query --tables`",
        ),
        (
            'Catalog Error: Scalar Function with name nofn does not exist!\nDid you mean "now"?',
            'Scalar Function with name nofn does not exist (did you mean "now"?)',
        ),
        ('Parser Error: syntax error at or near "SELEC"', 'syntax error at or near "SELEC"'),
        ("Conversion Error: Could not convert string 'x' to INT32", "Could not convert string 'x' to INT32"),
    ],
)
def test_a_mistake_is_one_line_with_the_name_that_was_meant(said: str, wanted: str) -> None:
    assert sentence(said, NAMES) == wanted


def test_a_file_that_is_being_written_is_told_as_busy(tmp_path: Path) -> None:
    path = tmp_path / "live.duckdb"
    script = (
        f"import duckdb, sys; held = duckdb.connect({str(path)!r}); "
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        with pytest.raises(StorageBusy, match="--file"), opened(path):
            pass
        owner.communicate("")
