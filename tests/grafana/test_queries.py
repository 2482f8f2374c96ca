"""Every query of every panel and variable, run by DuckDB 1.5 on a served snapshot of the made-up plant."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from grafana.showing import FOLDER, all_queries, expanded, shown
from plantops.archive.panels import TIME_SERIES, PanelQuery, expand, panel_queries
from plantops.archive.serving import serve
from plantops.archive.store import Store
from support import duckdb15
from support.duckdb15 import Answer
from support.served_plant import plant

# What the data source gives on as numbers, texts, truths and times. It makes texts of HUGEINT, which is what
# a sum of integers is, and fails at a NULL in an unsigned column.
NUMBERS = ("DOUBLE", "FLOAT", "BIGINT", "INTEGER")
USABLE = (*NUMBERS, "VARCHAR", "BOOLEAN", "TIMESTAMP")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grafana")
    store = plant(folder)
    target = folder / "plantops.duckdb"
    serve(store.cursor(), target)
    store.close()
    return target


@pytest.fixture(scope="module")
def answers(served: Path) -> dict[str, Answer]:
    return duckdb15.ask(served, expanded(shown()))


def name(query: PanelQuery) -> str:
    return f"{query.dashboard} / {query.panel}"


def test_there_are_four_dashboards_and_each_has_panels_and_variables() -> None:
    found: dict[str, int] = {}
    for one in all_queries():
        found[one.dashboard] = found.get(one.dashboard, 0) + 1
    assert len(found) == 4
    assert min(found.values()) >= 10


def test_names_of_panels_are_unique_in_a_dashboard() -> None:
    names = [name(one) for one in all_queries()]
    assert sorted(names) == sorted(set(names))


def test_every_query_runs(answers: dict[str, Answer]) -> None:
    assert {where: one.error for where, one in answers.items() if one.error} == {}


def test_every_query_finds_what_is_there(answers: dict[str, Answer]) -> None:
    assert [where for where, one in answers.items() if one.count == 0] == []


def test_every_column_is_of_a_kind_that_the_data_source_hands_on(answers: dict[str, Answer]) -> None:
    odd = {
        where: [column for column in one.columns if column[1] not in USABLE]
        for where, one in answers.items()
        if any(kind not in USABLE for _, kind in one.columns)
    }
    assert odd == {}


def test_a_time_series_has_one_time_in_rising_order_names_and_numbers(answers: dict[str, Answer]) -> None:
    for query in panel_queries(FOLDER):
        if query.format != TIME_SERIES:
            continue
        answer = answers[name(query)]
        assert answer.columns[0] == ("time", "TIMESTAMP"), name(query)
        kinds = [kind for _, kind in answer.columns[1:]]
        texts = kinds.count("VARCHAR")
        assert kinds == ["VARCHAR"] * texts + ["DOUBLE"] * (len(kinds) - texts), name(query)
        assert "DOUBLE" in kinds, name(query)
        points = [tuple(row[: 1 + texts]) for row in answer.rows]
        assert [point[0] for point in points] == sorted(str(point[0]) for point in points), name(query)
        assert len(points) == len(set(points)) or not texts, name(query)


def test_a_single_number_is_a_single_number(answers: dict[str, Answer]) -> None:
    for query in panel_queries(FOLDER):
        if query.kind == "stat":
            answer = answers[name(query)]
            assert (answer.count, len(answer.columns)) == (1, 1), name(query)
            assert answer.columns[0][1] in NUMBERS, name(query)
            assert answer.rows[0][0] is not None, name(query)


@pytest.mark.parametrize("days", [0.01, 1, 30, 4000])
def test_every_query_runs_for_any_range_and_without_quotes_around_the_interval(
    served: Path, days: float
) -> None:
    what = shown(timedelta(days=days), timedelta(days=days) / 800, is_quoted=False)
    found = duckdb15.ask(served, expanded(what))
    assert {where: one.error for where, one in found.items() if one.error} == {}


def test_an_empty_snapshot_shows_no_error(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "live.duckdb", "demo")
    serve(store.cursor(), tmp_path / "plantops.duckdb")
    store.close()
    found = duckdb15.ask(tmp_path / "plantops.duckdb", expanded(shown()))
    assert {where: one.error for where, one in found.items() if one.error} == {}


def numbers(answers: dict[str, Answer], dashboard: str) -> dict[str, str | None]:
    stats = {name(one): one.panel for one in panel_queries(FOLDER) if one.kind == "stat"}
    return {
        stats[where]: one.rows[0][0]
        for where, one in answers.items()
        if where in stats and where.startswith(dashboard)
    }


def test_the_numbers_are_those_of_the_plant(answers: dict[str, Answer]) -> None:
    told = numbers(answers, "PlantOps: plant overview")
    assert {title: told[title] for title in ("Tags", "Good", "Uncertain", "Stale", "Bad")} == {
        "Tags": "4",
        "Good": "3",
        "Uncertain": "0",
        "Stale": "0",
        "Bad": "1",
    }
    told = numbers(answers, "PlantOps: source health")
    assert told["Samples lost"] == "240"
    assert (told["Holes in streams"], told["Unread messages"]) == ("1", "1")
    told = numbers(answers, "PlantOps: command journal")
    assert told == {
        "Asked": "6",
        "Executed": "2",
        "Denied": "2",
        "Failed": "0",
        "Outcome unknown": "1",
        "Open": "1",
    }
    told = numbers(answers, "PlantOps: audit integrity")
    assert {
        title: told[title] for title in ("Records", "Not yet covered", "Findings", "Records missing here")
    } == {
        "Records": "200",
        "Not yet covered": "10",
        "Findings": "1",
        "Records missing here": "0",
    }


def test_a_trend_is_drawn_from_the_roll_up_that_fits_the_range(served: Path) -> None:
    query = next(one for one in panel_queries(FOLDER) if one.panel == "Mean")
    asked = {
        "seconds": expand(query.sql, shown(timedelta(minutes=10), timedelta(seconds=1))),
        "minutes": expand(query.sql, shown(timedelta(hours=10), timedelta(minutes=1))),
        "hours": expand(query.sql, shown(timedelta(days=40), timedelta(hours=1))),
    }
    found = duckdb15.ask(served, asked)
    chosen = 3
    assert found["seconds"].count == 600 * chosen
    assert found["minutes"].count == 15 * chosen
    assert found["hours"].count == chosen


def test_a_point_is_never_narrower_than_the_interval(served: Path) -> None:
    query = next(one for one in panel_queries(FOLDER) if one.panel == "Samples per second")
    found = duckdb15.ask(served, {"rate": expand(query.sql, shown(interval=timedelta(seconds=30)))})["rate"]
    assert found.count == 30 * 2
    assert {row[2] for row in found.rows} == {"2.0"}
