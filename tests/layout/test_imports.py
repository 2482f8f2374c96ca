"""What the import contracts cannot say: adapters by the registry, cores with all that they reach."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from layout.repository import NAMESPACE_ROOTS
from plantops.adapters.registry import ADAPTERS

# What an adapter may know of the package that it lies in.
SHARED_BY_ADAPTERS = {"plantops.adapters.contract", "plantops.adapters.planner"}
CORES = ("plantops.gate.core", "plantops.timer.core", "plantops.twin.core")
# A clock, randomness, a network, a log: none of it may decide, and a replay would not repeat it.
IMPURE = {"asyncio", "nats", "random", "secrets", "socket", "ssl", "structlog", "subprocess", "time", "uuid"}


def _path(module: str) -> Path | None:
    for root in NAMESPACE_ROOTS:
        stem = root.parent.joinpath(*module.split("."))
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    return None


def _imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions; `from a import b` gives a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _reach(module: str) -> dict[str, Path]:
    """The module and every one of ours that it imports, directly or not."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _path(name)
        if path is None or name in found:
            continue
        found[name] = path
        waiting += [each for each in _imports(path) if each.startswith("plantops.")]
    return found


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_an_adapter_knows_the_contract_and_no_other_adapter(name: str) -> None:
    own = ADAPTERS[name]
    files = (NAMESPACE_ROOTS[0] / "adapters" / name).glob("*.py")
    foreign = {
        f"{path.name}: {module}"
        for path in files
        for module in _imports(path)
        if module.startswith("plantops.adapters.")
        and not module.startswith(own)
        and not any(module.startswith(shared) for shared in SHARED_BY_ADAPTERS)
    }
    assert foreign == set()


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_an_adapter_knows_no_broker(name: str) -> None:
    files = (NAMESPACE_ROOTS[0] / "adapters" / name).glob("*.py")
    forbidden = ("nats", "plantops.flow", "plantops.policy", "plantops.ledger")
    assert {
        m for path in files for m in _imports(path) if m.split(".")[0] == "nats" or m.startswith(forbidden)
    } == set()


def test_the_reach_of_a_core_goes_through_all_layers() -> None:
    assert {"plantops.gate.requests", "plantops.policy.judge", "plantops.events.base"} <= _reach(
        CORES[0]
    ).keys()


@pytest.mark.parametrize("core", CORES)
def test_a_core_reaches_nothing_that_a_replay_would_not_repeat(core: str) -> None:
    impure = {
        f"{module}: {imported}"
        for module, path in _reach(core).items()
        for imported in _imports(path)
        if imported.split(".")[0] in IMPURE
    }
    assert impure == set()


@pytest.mark.parametrize("core", CORES)
def test_a_core_reads_no_clock(core: str) -> None:
    clocks = {
        f"{module}:{node.lineno}"
        for module, path in _reach(core).items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today")
        if isinstance(node.value, ast.Name) and node.value.id in ("datetime", "date")
    }
    assert clocks == set()
