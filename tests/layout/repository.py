"""The repository as its tests of form see it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON_ROOTS = ("services", "shared", "tests")
NAMESPACE_ROOTS = (ROOT / "services" / "plantops", ROOT / "shared" / "plantops")


@cache
def committed() -> tuple[Path, ...]:
    """Every file that a clone would have, as far as it is still here; relative to the root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    names = [Path(name) for name in listed.decode().split("\0") if name]
    return tuple(name for name in names if (ROOT / name).is_file())


def python_files() -> list[Path]:
    """All modules under the three roots, committed or not; relative to the root."""
    return sorted(path.relative_to(ROOT) for root in PYTHON_ROOTS for path in (ROOT / root).rglob("*.py"))


def text_of(path: Path) -> str:
    """A committed file as text; empty when it is none."""
    try:
        return (ROOT / path).read_text()
    except UnicodeDecodeError:
        return ""
