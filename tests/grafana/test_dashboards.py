"""The dashboards as files: written by code, explained to people, and provisioned as Grafana reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.showing import FOLDER, ROOT, VARIABLES, shown
from plantops.archive.dashboards import DASHBOARDS
from plantops.archive.dashboards.model import PLUGIN
from plantops.archive.panels import expand, panel_queries
from plantops.runtime.errors import SettingsError

PROVISIONING = ROOT / "services" / "grafana" / "provisioning"
FILES = sorted(FOLDER.glob("*.json"))


def models() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in FILES:
        yield path.stem, json.loads(path.read_text())


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for stem, model in models():
        for panel in model["panels"]:
            if panel["type"] != "row":
                yield f"{stem}: {panel.get('title')}", panel


def test_the_files_are_what_the_code_writes() -> None:
    assert {path.name: path.read_text() for path in FILES} == {
        name: dashboard.text() for name, dashboard in DASHBOARDS.items()
    }, "run `python -m plantops.archive.dashboards services/grafana/dashboards`"


def test_every_panel_has_a_title_and_says_what_it_shows() -> None:
    for where, panel in panels():
        assert panel["title"], where
        assert len(panel["description"]) > 20, where
        assert panel["description"].endswith("."), where
        assert panel["fieldConfig"]["defaults"]["noValue"], where


def test_every_row_has_a_title_and_every_variable_a_label_and_a_description() -> None:
    for stem, model in models():
        assert model["description"], stem
        for panel in model["panels"]:
            assert panel["title"], stem
        for variable in model["templating"]["list"]:
            assert variable["label"], stem
            assert variable["description"], stem


def test_panels_have_a_place_of_their_own() -> None:
    for stem, model in models():
        taken: set[tuple[int, int]] = set()
        numbers = [panel["id"] for panel in model["panels"]]
        assert len(numbers) == len(set(numbers)), stem
        for panel in model["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24, (stem, panel["title"])
            cells = {
                (place["x"] + right, place["y"] + down)
                for right in range(place["w"])
                for down in range(place["h"])
            }
            assert not cells & taken, (stem, panel["title"])
            taken |= cells


def test_every_number_over_time_and_every_duration_has_a_unit() -> None:
    for where, panel in panels():
        sql = panel["targets"][0]["rawSql"]
        if re.search(r"epoch\(now\(\)\)", sql):
            assert panel["fieldConfig"]["defaults"]["unit"] == "s", where


def test_an_override_names_a_column_that_the_query_gives() -> None:
    for where, panel in panels():
        for override in panel["fieldConfig"]["overrides"]:
            name = override["matcher"]["options"]
            assert re.search(rf'\b"?{name}"?\b', panel["targets"][0]["rawSql"]), (where, name)


def test_every_variable_that_a_query_uses_is_there_and_every_one_is_used() -> None:
    for stem, model in models():
        own = {variable["name"] for variable in model["templating"]["list"]} - {"snapshot"}
        text = json.dumps(model)
        used = set(re.findall(r"\$(?!_)(\w+)", text)) - {"snapshot"}
        assert used == own, stem
        assert own <= set(VARIABLES), stem


def test_all_queries_go_to_the_snapshot_that_is_chosen() -> None:
    chosen = {"type": PLUGIN, "uid": "${snapshot}"}
    for where, panel in panels():
        assert panel["datasource"] == chosen, where
        assert [target["datasource"] for target in panel["targets"]] == [chosen], where
    for stem, model in models():
        first, *rest = model["templating"]["list"]
        assert (first["name"], first["type"], first["query"]) == ("snapshot", "datasource", PLUGIN), stem
        assert all(variable["datasource"] == chosen for variable in rest), stem


def test_the_provisioned_data_source_is_the_one_that_the_dashboards_ask_for() -> None:
    (path,) = (PROVISIONING / "datasources").glob("*.yaml")
    (source,) = yaml.safe_load(path.read_text())["datasources"]
    assert source["type"] == PLUGIN
    assert source["jsonData"]["path"] == "/data/plantops.duckdb"
    assert source["jsonData"]["readOnly"] is True
    for stem, model in models():
        snapshot = model["templating"]["list"][0]
        assert snapshot["current"] == {"text": source["name"], "value": source["uid"]}, stem
        assert re.match(snapshot["regex"].strip("/"), source["name"]), stem


def test_the_provisioned_folder_holds_the_dashboards() -> None:
    (path,) = (PROVISIONING / "dashboards").glob("*.yaml")
    (provider,) = yaml.safe_load(path.read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    assert "/etc/grafana/dashboards" in (ROOT / "docs" / "guides" / "grafana.md").read_text()


def test_macros_and_variables_become_what_the_data_source_makes_of_them() -> None:
    what = shown(timedelta(minutes=30), timedelta(seconds=15))
    begin, end = "'2026-11-22T07:30:00Z'", "'2026-11-22T08:00:01Z'"
    assert expand("$__timeFilter(stored_at)", what) == f"stored_at >= {begin} AND stored_at <= {end}"
    assert expand("$__timeFrom() $__timeTo()", what) == f"{begin} {end}"
    assert expand("$__interval_ms $__interval", what) == "'15000' '15000ms'"
    assert expand("source IN ($source) ${asset}", what) == "source IN ('line1', 'tank''s') 'pump-001'"
    bare = shown(timedelta(minutes=30), timedelta(seconds=15), is_quoted=False)
    assert expand("$__interval_ms", bare) == "15000"


@pytest.mark.parametrize("sql", ["SELECT $nobody", "SELECT $__timeGroup(a, b)"])
def test_a_name_that_nobody_knows_is_refused(sql: str) -> None:
    with pytest.raises(SettingsError, match="neither a macro nor a variable"):
        expand(sql, shown())


def test_a_file_that_is_no_dashboard_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(SettingsError, match=r"broken\.json"):
        panel_queries(tmp_path)
