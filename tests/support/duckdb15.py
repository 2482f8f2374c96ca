"""DuckDB 1.5, the release inside Grafana's plug-in, in an environment of its own beside ours."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PEER = ROOT / "tests" / "peers" / "duckdb15"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave: columns with DuckDB's type names, the first rows as text, how many there are."""

    columns: list[tuple[str, str]]
    rows: list[list[str | None]]
    count: int
    seconds: float
    error: str = ""


def ask(file: Path, queries: Mapping[str, str], *, read_only: bool = True) -> dict[str, Answer]:
    """Run queries with DuckDB 1.5. The test is skipped, with the reason, where that cannot be installed."""
    asked = {"file": str(file), "read_only": read_only, "queries": list(queries.items())}
    done = subprocess.run(
        [python(), str(PEER / "reader.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["version"].startswith("1.5."), told["version"]
    return {name: _answer(one) for name, one in told["answers"].items()}


def _answer(told: dict[str, Any]) -> Answer:
    if "error" in told:
        return Answer([], [], 0, 0.0, told["error"])
    columns = [(name, kind) for name, kind in told["columns"]]
    return Answer(columns, told["rows"], told["count"], told["seconds"])


@functools.cache
def _made() -> tuple[str, str]:
    """The interpreter, or why there is none. Kept between runs under .cache, by the pins' own hash."""
    pins = PEER / "requirements.txt"
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    folder = ROOT / ".cache" / f"duckdb15-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}-{version}"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "duckdb15.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test workers want it at once
        if not (folder / "installed").exists():
            why_not = _install(folder, pins)
            if why_not:
                return "", f"DuckDB 1.5 cannot be installed here: {why_not[-300:]}"
            (folder / "installed").touch()
    return str(folder / "bin" / "python"), ""


def _install(folder: Path, pins: Path) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    interpreter = str(folder / "bin" / "python")
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv:
        steps = [
            [uv, "venv", "-q", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "-q", "--python", interpreter, "--require-hashes", "-r", str(pins)],
        ]
    else:
        pip = [interpreter, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        steps = [[sys.executable, "-m", "venv", str(folder)], [*pip, "--require-hashes", "-r", str(pins)]]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr.strip() or "no reason told"
    return ""


def python() -> str:
    """The interpreter that has DuckDB 1.5; skips the test where it cannot be had."""
    interpreter, why_not = _made()
    if why_not:
        pytest.skip(why_not)
    return interpreter
