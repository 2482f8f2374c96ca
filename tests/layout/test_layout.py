"""The form of the repository: where things lie, and what no file may hold."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from layout.repository import NAMESPACE_ROOTS, ROOT, committed, python_files, text_of
from plantops.adapters.registry import ADAPTERS

ADAPTER_FILES = (
    "__init__.py",
    "config.py",
    "codec.py",
    "connection.py",
    "sample.toml",
    "quality.toml",
    "README.md",
)
# Folders beside the adapters that are none.
ADAPTER_MACHINERY = ("host",)
JUNK_DRAWERS = re.compile(r"(utils?|common|helpers?|misc)")

# Homes and work folders of whoever built this; a system path such as /etc or /var is no machine's own.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|Users|root|work|workspace|mnt|srv)/[\w.-]+")
# Any package index, also the public ones: where packages come from is the installer's business.
REGISTRY = re.compile(
    r"https?://[\w.-]*(?:registry|proxy|mirror|index)[\w.-]*"
    r"|\b[\w.-]*(?:pypi|pythonhosted|artifactory|nexus|devpi)[\w-]*\.[a-z]{2,}",
    re.IGNORECASE,
)
# A test that sleeps waits too long or too short; it waits for a condition instead, in short steps.
LONGEST_STEP_SECONDS = 0.1
# File -> why it may sleep longer.
SLEEPERS = {
    "tests/chaos/harness.py": "kills at random moments; the pause between two kills is the experiment itself",
    "tests/chaos/test_site_kills.py": "as the harness: when the next kill comes is up to the dice",
}
PATH_WAIVERS = {"tests/layout/test_layout.py": "holds the patterns"}


def test_no_module_is_a_junk_drawer() -> None:
    names = {part for path in python_files() for part in (*path.parts[:-1], path.stem)}
    assert [name for name in sorted(names) if JUNK_DRAWERS.fullmatch(name)] == []


@pytest.mark.parametrize("root", NAMESPACE_ROOTS, ids=lambda path: path.parent.name)
def test_a_namespace_root_is_typed_and_no_package_itself(root: Path) -> None:
    assert not (root / "__init__.py").exists(), "it would hide the other root in an editable install"
    assert (root / "py.typed").exists()


@pytest.mark.parametrize("root", NAMESPACE_ROOTS, ids=lambda path: path.parent.name)
def test_every_package_below_a_root_has_an_init(root: Path) -> None:
    folders = {path.parent for path in root.rglob("*.py")} - {root}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_the_two_roots_share_no_name() -> None:
    services, shared = (
        {path.stem for path in root.iterdir() if _is_module(path)} for root in NAMESPACE_ROOTS
    )
    assert services & shared == set()


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists())


def test_every_adapter_folder_has_its_line_in_the_registry_and_every_line_its_folder() -> None:
    folder = NAMESPACE_ROOTS[0] / "adapters"
    found = {path.name for path in folder.iterdir() if _is_module(path) and path.is_dir()} - {
        *ADAPTER_MACHINERY
    }
    assert found == set(ADAPTERS)
    assert {name: f"plantops.adapters.{name}" for name in found} == ADAPTERS


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_an_adapter_has_the_files_that_everybody_looks_for(name: str) -> None:
    folder = NAMESPACE_ROOTS[0] / "adapters" / name
    assert [wanted for wanted in ADAPTER_FILES if not (folder / wanted).exists()] == []


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_an_adapter_says_what_is_done_to_do_or_exempt_and_why(name: str) -> None:
    quality = tomllib.loads((NAMESPACE_ROOTS[0] / "adapters" / name / "quality.toml").read_text())
    wrong = [
        rule
        for rule, said in quality["rules"].items()
        if said["status"] not in ("done", "todo", "exempt")
        or (said["status"] != "done" and not said.get("reason"))
    ]
    assert wrong == []


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY], ids=["machine paths", "registries"])
def test_no_committed_file_names_a_machine_or_a_registry(pattern: re.Pattern[str]) -> None:
    found = {
        f"{path}: {match[0]}"
        for path in committed()
        if str(path) not in PATH_WAIVERS
        for match in pattern.finditer(text_of(path))
    }
    assert found == set()


def test_the_patterns_find_what_they_are_for() -> None:
    assert MACHINE_PATH.search("cd /home/somebody/plantops")
    assert REGISTRY.search("--index-url https://pypi.example.com/simple")
    assert not MACHINE_PATH.search("/var/lib/plantops and https://nats.io/home/x")


def test_every_pin_has_a_hash_and_no_index() -> None:
    lines = text_of(Path("requirements.txt")).splitlines()
    logical = "\n".join(lines).replace("\\\n", " ").splitlines()
    pins = [line for line in logical if line.strip() and not line.lstrip().startswith("#")]
    assert pins
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []
    assert [line for line in lines if re.match(r"\s*(-i|--(extra-)?index-url|--find-links|-f)\b", line)] == []


def _sleeps(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = node.func.value
        if node.func.attr != "sleep" or not isinstance(owner, ast.Name):
            continue
        first = node.args[0] if node.args else None
        seconds = first.value if isinstance(first, ast.Constant) else None
        is_short = isinstance(seconds, (int, float)) and seconds < LONGEST_STEP_SECONDS
        if owner.id == "time" or (owner.id == "asyncio" and not is_short):
            found.append(f"{path}:{node.lineno}")
    return found


def test_no_test_sleeps() -> None:
    tests = [path for path in python_files() if path.parts[0] == "tests" and str(path) not in SLEEPERS]
    assert [place for path in tests for place in _sleeps(path)] == []


def test_every_decision_is_in_the_index_and_every_link_leads_somewhere() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text()
    linked = set(re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", index))
    assert linked == {path.name for path in folder.glob("[0-9]*.md")}
    numbers = [name[:4] for name in linked]
    assert len(set(numbers)) == len(numbers), "two decisions share a number"


def test_every_link_between_documents_leads_somewhere() -> None:
    links = {
        (path, target)
        for path in committed()
        if path.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text_of(path))
        if "://" not in target
    }
    assert {(path, to) for path, to in links if not (ROOT / path.parent / to).exists()} == set()
