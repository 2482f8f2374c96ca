"""Node and its packages, where they can be had."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

# Below pytest's own limit: then the reason is told.
INSTALL_SECONDS = 100.0
RUN_SECONDS = 100.0
# npm says these when a pinned version does not exist: our mistake, and no reason to skip.
_OURS = ("ETARGET", "EJSONPARSE", "EINVALIDPACKAGENAME")


def node() -> str:
    """The program. Skips where there is none."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed here")
    return found


def prepared(scripts: Path, config: pytest.Config) -> Path:
    """A folder with these scripts and the packages of their package.json; installed once, then kept.

    Skips where npm or the packages cannot be had, with npm's own reason.
    """
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed here")
    assert config.cache is not None
    manifest = (scripts / "package.json").read_bytes()
    folder = config.cache.mkdir(f"node-{scripts.name}-{hashlib.sha256(manifest).hexdigest()[:16]}")
    done = folder / "installed"
    if not done.exists():
        (folder / "package.json").write_bytes(manifest)
        _install(npm, folder)
        done.touch()
    for script in scripts.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def _install(npm: str, folder: Path) -> None:
    words = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    try:
        told = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not get the packages within {INSTALL_SECONDS:g} s")
    if told.returncode != 0:
        errors = [line for line in told.stderr.splitlines() if line.startswith("npm error")]
        assert not any(code in told.stderr for code in _OURS), told.stderr
        pytest.skip(f"npm cannot get the packages: {' '.join(errors[:2]) or told.stderr[-200:]}")


def run(folder: Path, words: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run a script of the folder; what it answers is for the test to judge."""
    return subprocess.run(
        [node(), *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS,
    )
