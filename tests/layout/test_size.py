"""A file and a function have one subject; what is longer has two. Waivers are data with a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from layout.repository import ROOT, python_files

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

# Path, or path and function -> why it may be longer.
WAIVERS: dict[str, str] = {}


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{path}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def _too_long() -> dict[str, int]:
    found = {}
    for path in python_files():
        lines = len((ROOT / path).read_text().splitlines())
        if lines > MAX_FILE_LINES:
            found[str(path)] = lines
        found |= {name: length for name, length in _functions(path) if length > MAX_FUNCTION_LINES}
    return found


def test_no_file_and_no_function_is_longer_than_agreed() -> None:
    assert {name: lines for name, lines in _too_long().items() if name not in WAIVERS} == {}


def test_every_waiver_is_still_needed_and_says_why() -> None:
    found = _too_long()
    assert [name for name, reason in WAIVERS.items() if name not in found or not reason] == []
