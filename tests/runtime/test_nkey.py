"""Connection keys: kept private, never half right."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from plantops.runtime.errors import SettingsError
from plantops.runtime.nkey import NKey, is_public_user_key


def test_a_saved_key_is_the_same_when_loaded_and_private(tmp_path: Path) -> None:
    key, path = NKey.generate(), tmp_path / "gate.nk"
    key.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (NKey.load(path).public, NKey.load(path).seed) == (key.public, key.seed)
    assert is_public_user_key(key.public)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "gate.nk"
    NKey.generate().save(path)
    before = path.read_bytes()
    with pytest.raises(SettingsError, match="never overwritten"):
        NKey.generate().save(path)
    assert path.read_bytes() == before


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gate.nk"
    NKey.generate().save(path)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        NKey.load(path)


@pytest.mark.parametrize("position", [0, 1, 2, 20, 56, 57])
def test_one_changed_letter_is_noticed(position: int) -> None:
    seed = NKey.generate().seed
    other = "B" if seed[position] != "B" else "C"
    with pytest.raises(SettingsError) as refusal:
        NKey(seed[:position] + other + seed[position + 1 :])
    assert seed[3:] not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "SU", "SUé", "x" * 58, "SAAFAKE"])
def test_what_is_no_seed_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        NKey(text)


def test_neither_repr_nor_pickle_gives_the_seed_away() -> None:
    key = NKey.generate()
    assert key.seed not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)
