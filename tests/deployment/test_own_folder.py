"""Two processes of one name: each has a folder of its own, and no two use one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from plantops.deployment.folder import SiteFolder
from plantops.deployment.own_folder import held, high_water
from plantops.deployment.supervisor import replica_of, replicated
from plantops.events.base import Digest
from plantops.policy.highwater import FILE_NAME, HighWater, Mark
from plantops.runtime.errors import SettingsError

HOLDER = """
import sys
from pathlib import Path
from plantops.deployment.own_folder import held
with held(Path(sys.argv[1]), "gate"):
    print("held", flush=True)
    sys.stdin.read()
"""


def mark(revision: int) -> Mark:
    return Mark(root_version=1, root=Digest("a" * 64), revision=revision, digest=Digest(f"{revision:064d}"))


def remember(folder: SiteFolder, replica: int, revision: int) -> None:
    path = folder.state("gate", replica) / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(mark(revision)))


def test_a_second_process_does_not_use_a_folder_until_the_first_is_gone_however_it_went(
    tmp_path: Path,
) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(SettingsError, match="--replica 2"), held(tmp_path, "gate"):
            pass
    finally:
        first.kill()
        first.communicate()
    with held(tmp_path, "gate"):
        pass


def test_each_gate_that_up_starts_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folder, first = SiteFolder(tmp_path), {"gate": ("gate", "timer"), "core": ("twin",)}
    numbers = {name: replica_of(name, first) for name in replicated(first, 3)}
    assert numbers == {"gate": 1, "core": 1, "gate-2": 2, "gate-3": 3}
    states = [folder.state("gate", number).name for number in (1, 2, 3)]
    assert states == ["gate", "gate-2", "gate-3"]


def test_a_gateway_with_workers_runs_as_often_and_alone() -> None:
    first = {"front": ("gateway",), "core": ("twin",)}
    assert list(replicated(first, 1, 3)) == ["front", "core", "front-2", "front-3"]
    with pytest.raises(SettingsError, match="alone"):
        replicated({"front": ("gateway", "archive")}, 1, 2)
    assert list(replicated({"front": ("gateway", "archive")}, 1, 1)) == ["front"]


def test_a_further_gate_begins_with_what_the_first_one_here_has_followed_and_then_keeps_its_own(
    tmp_path: Path,
) -> None:
    folder = SiteFolder(tmp_path)
    folder.state("gate", 2).mkdir(parents=True)
    assert high_water(folder, "gate", 2).mark is None
    remember(folder, 1, 3)
    begins = high_water(folder, "gate", 2)
    assert begins.mark == mark(3)
    assert begins.path == tmp_path / "data" / "gate-2" / FILE_NAME
    assert HighWater.load(begins.path).mark == mark(3)
    remember(folder, 2, 2)
    assert high_water(folder, "gate", 2).mark == mark(2)
    assert high_water(folder, "gate", 1).mark == mark(3)
