"""Every query through the real data source in a real Grafana, which has to notice that the file was replaced.

Both come from outside: an Ubuntu-based Grafana image (`PLANTOPS_GRAFANA_IMAGE`), and the folder of the
unpacked data source, newer than 0.4.5 (`PLANTOPS_GRAFANA_PLUGIN`). Where one is missing the test is skipped.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from grafana.showing import FOLDER, ROOT, VARIABLES, all_queries, shown
from plantops.archive.dashboards.model import PLUGIN
from plantops.archive.panels import choose
from plantops.archive.serving import serve
from plantops.archive.store import Store
from support.served_plant import add_frames, plant

IMAGE = os.environ.get("PLANTOPS_GRAFANA_IMAGE", "grafana/grafana:13.2.3-ubuntu")
PLUGIN_FOLDER = os.environ.get("PLANTOPS_GRAFANA_PLUGIN", "")
LOGIN = "admin:admin"
START_SECONDS = 90.0


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image() -> str:
    if shutil.which("docker") is None:
        pytest.skip("there is no docker here: a real Grafana cannot be started")
    if not Path(PLUGIN_FOLDER, "plugin.json").is_file():
        pytest.skip("PLANTOPS_GRAFANA_PLUGIN names no folder with the data source")
    try:
        docker("image", "inspect", IMAGE)
    except RuntimeError:
        try:
            docker("pull", "-q", IMAGE)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"the image {IMAGE} cannot be had here: {error}")
    return IMAGE


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = plant(tmp_path)
    yield made
    made.close()


@pytest.fixture
def grafana(image: str, store: Store, tmp_path: Path) -> Iterator[str]:
    """The address of a Grafana that has our provisioning and a first snapshot."""
    served = tmp_path / "served"
    serve(store.cursor(), served / "plantops.duckdb")
    served.chmod(0o755)
    mounts = {
        served: "/data",
        ROOT / "services" / "grafana" / "provisioning": "/etc/grafana/provisioning",
        FOLDER: "/etc/grafana/dashboards",
        Path(PLUGIN_FOLDER).resolve(): f"/var/lib/grafana/plugins/{PLUGIN}",
    }
    volumes = [part for host, inside in mounts.items() for part in ("-v", f"{host}:{inside}:ro")]
    allowed = f"GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS={PLUGIN}"
    container = docker("run", "-d", "--rm", "-p", "127.0.0.1:0:3000", "-e", allowed, *volumes, image)
    try:
        address = f"http://{docker('port', container, '3000/tcp').splitlines()[0]}"
        until_up(address)
        yield address
    finally:
        docker("kill", container)


def until_up(address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{address}/api/health", timeout=5):
                return
        except (OSError, urllib.error.URLError):
            assert time.monotonic() < deadline, "Grafana did not start"
        threading.Event().wait(0.2)


def asked(address: str, sql: dict[str, tuple[str, int]]) -> dict[str, Any]:
    """Queries by a name, each SQL and format, as a dashboard sends them."""
    what = shown()
    queries = [
        {
            "refId": name,
            "datasource": {"type": PLUGIN, "uid": "plantops"},
            "rawSql": text,
            "format": form,
            "intervalMs": 2000,
            "maxDataPoints": 900,
        }
        for name, (text, form) in sql.items()
    ]
    begin, end = (str(round(one.timestamp() * 1000)) for one in (what.begin, what.end + timedelta(days=1)))
    body = json.dumps({"queries": queries, "from": begin, "to": end}).encode()
    login = base64.b64encode(LOGIN.encode()).decode()
    request = urllib.request.Request(
        f"{address}/api/ds/query",
        data=body,
        headers={"Content-Type": "application/json", "Authorization": f"Basic {login}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        results: dict[str, Any] = json.load(answer)["results"]
    return results


def test_grafana_shows_every_panel_and_notices_a_new_snapshot(
    grafana: str, store: Store, tmp_path: Path
) -> None:
    sql = {
        f"{one.dashboard} / {one.panel}": (choose(one.sql, VARIABLES), one.format) for one in all_queries()
    }
    results = asked(grafana, sql)
    assert {name: one.get("error") for name, one in results.items() if one.get("error")} == {}
    assert all(one["frames"][0]["data"]["values"] for one in results.values())
    newest = {"newest": ("SELECT max(sequence) AS sequence FROM sample", 1)}
    assert asked(grafana, newest)["newest"]["frames"][0]["data"]["values"] == [[900]]
    add_frames(store, 900, 5)
    serve(store.cursor(), tmp_path / "served" / "plantops.duckdb")
    assert asked(grafana, newest)["newest"]["frames"][0]["data"]["values"] == [[905]]
