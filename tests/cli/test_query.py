"""`plantops query`: tables for people, exact values for scripts, one clear line for a mistake."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from plantops.archive.asking import opened
from plantops.archive.place import SERVED_FILE
from plantops.archive.questions import QUESTIONS
from plantops.archive.serving import serve
from plantops.cli.cells import json_row, plain, shown_cell
from plantops.cli.main import run
from plantops.deployment.initialise import initialise
from support.archive_story import fill, morning
from support.site import RunningSite, ask, until


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose archive has served the story and is not running now."""
    root = tmp_path_factory.mktemp("site") / "demo"
    initialise(root)
    folder = root / "data" / "archive"
    store = fill(folder / "live.duckdb", morning())
    serve(store.cursor(), folder / SERVED_FILE)
    store.close()
    return root


class Told:
    """What a command printed, and its exit code."""

    def __init__(self, site: Path, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        capsys.readouterr()
        self.code = run(["query", *words, "--folder", str(site)])
        self.out, self.err = capsys.readouterr()

    @property
    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.out)["rows"]
        return found


@pytest.fixture
def told(site: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *words: Told(site, capsys, *words)


def test_a_table_for_people_says_how_many_rows_and_how_old(told: Any) -> None:
    found = told("SELECT handle, state, duration_ms FROM commands WHERE handle IN ('c2', 'c8') ORDER BY 1")
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[0].startswith("2 rows, snapshot ")
    assert [line.split() for line in lines[1:]] == [
        ["handle", "state", "duration_ms"],
        ["c2", "executed", "50"],
        ["c8", "simulated"],
    ]


def test_a_ready_question_is_asked_by_name(told: Any) -> None:
    found = told("--ask", "why-not", "command=c3", "--json")
    assert [row["rule"] for row in found.rows] == ["permissive:cool"]


def test_text_from_the_plant_is_shown_as_it_is(told: Any) -> None:
    found = told("SELECT 'permissive:cool: [red]hot[/red]' AS text")
    assert "permissive:cool: [red]hot[/red]" in found.out


def test_json_and_csv_hold_everything_exactly(told: Any) -> None:
    sql = (
        "SELECT 9007199254740993 AS large, 0.1::DOUBLE AS number, NULL AS none, 'NaN'::DOUBLE AS nan, "
        "TIMESTAMP '2026-03-01 12:00:00.000001' AS at, 'a,\"b' AS text"
    )
    (row,) = told(sql, "--json").rows
    assert row == {
        "large": "9007199254740993",
        "number": 0.1,
        "none": None,
        "nan": "NaN",
        "at": "2026-03-01T12:00:00.000001Z",
        "text": 'a,"b',
    }
    (values,) = csv.DictReader(io.StringIO(told(sql, "--csv").out))
    assert values == {
        "large": "9007199254740993",
        "number": "0.1",
        "none": "",
        "nan": "nan",
        "at": "2026-03-01T12:00:00.000001Z",
        "text": 'a,"b',
    }


def test_no_row_is_left_out_silently(told: Any) -> None:
    assert "the first of more: --limit" in told("SELECT * FROM range(5)", "--limit", "3").out
    assert "the first of more" not in told("SELECT * FROM range(5)", "--limit", "5").out
    assert len(told("SELECT * FROM range(5000)", "--json", "--limit", "3").rows) == 5000
    assert len(told("SELECT * FROM range(5000)", "--csv").out.splitlines()) == 5001


def test_no_row_at_all_is_said(told: Any) -> None:
    found = told("SELECT * FROM commands WHERE false")
    assert (found.code, found.out.startswith("0 rows")) == (0, True)
    assert told("SELECT * FROM commands WHERE false", "--json").rows == []


def test_sql_may_come_from_standard_input(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 7 AS seven"))
    assert told("-", "--json").rows == [{"seven": 7}]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "one SELECT in quotes"),
        (("SELECT 1", "SELECT 2"), 2, "one SELECT in quotes"),
        (("SELECT operatoin FROM commands",), 1, "did you mean 'operation'?"),
        (("SELECT * FROM comands",), 1, "did you mean 'commands'?"),
        (("DELETE FROM event",), 1, "queries only read"),
        (("SELECT * FROM read_text('/etc/hostname')",), 1, "nothing else"),
        (("--ask", "cause-chian", "command=c2"), 1, "did you mean 'cause-chain'?"),
        (("--ask", "cause-chain"), 1, "command=COMMAND"),
        (("--ask", "cause-chain", "comand=c2"), 1, "did you mean 'command'?"),
        (("--ask", "audit", "since=1h"), 1, "takes no words"),
        (("--ask", "gaps", "since=yesterday"), 1, "is no time"),
        (("--ask", "gaps", "since=99999999999d"), 1, "is no time"),
        (("--tables", "comands"), 1, "did you mean 'commands'?"),
        (("SELECT count(*) FROM range(1000000000000)", "--seconds", "0.2"), 1, "gave up after 0.2 s"),
    ],
)
def test_a_mistake_is_one_line_that_helps(told: Any, words: tuple[str, ...], code: int, said: str) -> None:
    found = told(*words)
    assert found.code == code
    (line,) = found.err.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert found.out == ""


def test_a_site_whose_archive_has_not_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    initialise(tmp_path / "demo")
    found = Told(tmp_path / "demo", capsys, "SELECT 1")
    assert (found.code, found.out) == (1, "")
    assert "does not exist" in found.err
    assert "plantops status" in found.err


def test_the_list_names_every_question_and_what_it_needs(told: Any) -> None:
    text = told("--list").out
    assert [name for name in QUESTIONS if f"\n{name} " not in text] == []
    assert "command=COMMAND" in text
    listed = json.loads(told("--list", "--json").out)
    assert [question["name"] for question in listed] == list(QUESTIONS)


def test_tables_and_views_are_listed_with_what_they_hold(told: Any) -> None:
    text = told("--tables").out
    assert "commands " in text
    assert "One value of one tag" in text
    assert "a truth value" in told("--tables", "sample").out
    assert {"name": "handle", "text": ""} in json.loads(told("--tables", "commands", "--json").out)


def test_another_file_can_be_asked(site: Path, tmp_path: Path, told: Any) -> None:
    export = Path(shutil.copy(site / "data" / "archive" / SERVED_FILE, tmp_path / "export.duckdb"))
    assert told("SELECT count(*) AS n FROM commands", "--file", str(export), "--json").rows == [{"n": 8}]


def test_an_old_snapshot_is_told_on_standard_error(tmp_path: Path, told: Any) -> None:
    path = tmp_path / "old.duckdb"
    duckdb.connect(str(path)).close()
    assert told("SELECT 1", "--file", str(path)).err == ""
    os.utime(path, (1_000_000_000, 1_000_000_000))
    found = told("SELECT 1", "--file", str(path))
    assert found.code == 0
    assert "look at `plantops status`" in found.err


async def test_a_command_on_a_running_site_is_soon_told_with_its_causes(demo: RunningSite) -> None:
    async with demo.session("alice") as alice:
        asked = await ask(alice, "pump-001.SetSpeed", {"RPM": 900}, mode="simulate")
    path = demo.root / "data" / "archive" / SERVED_FILE
    question = QUESTIONS["cause-chain"]

    async def chain() -> list[dict[str, Any]]:
        if not path.exists():
            return []
        with opened(path) as snapshot:
            found = snapshot.ask(question.sql, {"command": asked.handle})
            return [dict(zip(found.columns, row, strict=True)) for row in found.rows]

    rows = await until(
        chain, lambda rows: bool(rows) and rows[0]["type"] == "command.simulated", "it is served"
    )
    assert (rows[-1]["type"], rows[-1]["who"]) == ("command.requested", "alice")
    assert "plc1." in rows[0]["rests_on"]
    given = {"command": asked.handle, "since": "2020-01-01", "tag": "plc1.pump.run", "conversation": ""}
    with opened(path) as snapshot:
        for name, one in QUESTIONS.items():
            values = {parameter.name: given[parameter.name] for parameter in one.parameters}
            assert snapshot.ask(one.sql, values).columns, name


def test_cells_are_short_for_people_and_exact_for_scripts() -> None:
    assert shown_cell(1 / 3).plain == "0.333333"
    assert shown_cell(None).plain == ""
    assert shown_cell(True).plain == "yes"
    assert shown_cell("two\nlines").plain == "two lines"
    assert plain(1 / 3) == 1 / 3
    values = [float("inf"), 2**53, 2**53 + 1, b"\x01"]
    assert json_row(values) == '["Infinity",9007199254740992,"9007199254740993","01"]'
