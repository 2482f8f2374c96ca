"""The dashboards' JSON against Grafana's own types, by its own compiler."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from grafana.showing import FOLDER, ROOT

PINS = ROOT / "tests" / "grafana" / "package.json"
PANELS = {"timeseries": "TimeSeries", "stat": "Stat", "table": "Table", "bargauge": "BarGauge"}
WITH_FIELD_TYPES = ("timeseries", "table")
# In JSON an enumeration is its text; `Plain` makes of Grafana's types those of JSON, and nothing wider.
PLAIN = """
type Plain<T> = unknown extends T ? T
  : T extends string ? `${T}`
  : T extends number | boolean | null | undefined ? T
  : T extends (infer U)[] ? Plain<U>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> }
  : T;
"""
TARGET = ("--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler")
OPTIONS = ("--noEmit", "--strict", "--skipLibCheck", *TARGET)


@functools.cache
def compiler() -> Path:
    """A folder with the pinned packages, kept under .cache; skips where they cannot be had."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm is not installed here: Grafana's types cannot be had")
    folder = ROOT / ".cache" / f"grafana-types-{hashlib.sha256(PINS.read_bytes()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            shutil.copy(PINS, folder / "package.json")
            done = subprocess.run(
                ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"Grafana's types cannot be installed here: {done.stderr.strip()[-300:]}")
            (folder / "installed").touch()
    return folder


def checked(programs: Mapping[str, str]) -> str:
    """What the compiler says about files, by name; empty: nothing."""
    folder = compiler()
    for name, program in programs.items():
        (folder / name).write_text(program)
    done = subprocess.run(
        ["node", "node_modules/typescript/bin/tsc", *OPTIONS, *programs],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def typed(model: dict[str, Any]) -> str:
    """A program that is well typed if the dashboard is."""
    kinds = {panel["type"] for panel in model["panels"]} - {"row"}
    lines = ["import type { Dashboard } from '@grafana/schema';"]
    for kind in sorted(kinds):
        place = f"@grafana/schema/dist/esm/raw/composable/{kind}/panelcfg/x/{PANELS[kind]}PanelCfg_types.gen"
        names = f"Options as {kind}Options"
        names += f", FieldConfig as {kind}Field" if kind in WITH_FIELD_TYPES else ""
        lines.append(f"import type {{ {names} }} from '{place}';")
    lines += [PLAIN, f"export const dashboard: Plain<Dashboard> = {json.dumps(model)};"]
    for panel in model["panels"]:
        kind, number = panel["type"], panel["id"]
        if kind == "row":
            continue
        lines.append(f"export const options{number}: Plain<{kind}Options> = {json.dumps(panel['options'])};")
        if kind in WITH_FIELD_TYPES:
            custom = json.dumps(panel["fieldConfig"]["defaults"]["custom"])
            lines.append(f"export const field{number}: Plain<{kind}Field> = {custom};")
    return "\n".join(lines) + "\n"


def test_every_dashboard_is_one_by_grafanas_own_types() -> None:
    models = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
    assert len(models) == 4
    assert checked({f"{stem}.ts": typed(model) for stem, model in models.items()}) == ""


def test_a_wrong_dashboard_is_noticed() -> None:
    model = json.loads((FOLDER / "plantops-overview.json").read_text())
    model["panels"][1]["gridPos"]["w"] = "4"
    model["panels"][1]["options"]["colorMode"] = "purple"
    model["panels"][1]["fieldConfig"]["defaults"]["thresholds"]["mode"] = "relative"
    wrong = checked({"wrong.ts": typed(model)})
    for word in ("Type 'string' is not assignable to type 'number'", '"purple"', '"relative"'):
        assert word in wrong, word
    unknown = json.loads((FOLDER / "plantops-overview.json").read_text()) | {"annotation": {}}
    assert '"annotation"' in checked({"unknown.ts": typed(unknown)})
