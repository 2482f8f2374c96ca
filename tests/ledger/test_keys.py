import hashlib
import pickle
import stat
from pathlib import Path

import pytest

from plantops.ledger.keys import SigningKey, VerifyKey
from plantops.runtime.errors import SettingsError

# RFC 8032, 7.1, TEST 2.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_signs_as_rfc_8032_says() -> None:
    key = SigningKey.from_seed(SEED)
    assert key.public.raw == PUBLIC
    assert key.sign(b"\x72") == SIGNATURE
    assert key.public.is_valid(b"\x72", SIGNATURE)
    assert not key.public.is_valid(b"\x73", SIGNATURE)
    assert not key.public.is_valid(b"\x72", SIGNATURE[:-1])
    assert key.keyid == hashlib.sha256(PUBLIC).hexdigest()[:32]


def test_a_key_of_small_order_verifies_nothing() -> None:
    identity = VerifyKey(b"\x01" + bytes(31))
    assert not identity.is_valid(b"anything", b"\x01" + bytes(63))


def test_a_public_key_travels_as_base64() -> None:
    public = SigningKey.generate().public
    assert VerifyKey.from_base64(public.to_base64()) == public


@pytest.mark.parametrize("text", ["", "AAAA", "not base64", "A" * 42 + "B="])
def test_refuses_a_public_key_of_another_shape(text: str) -> None:
    with pytest.raises(SettingsError):
        VerifyKey.from_base64(text)


def test_a_saved_key_is_loaded_again_and_is_private(tmp_path: Path) -> None:
    key, path = SigningKey.generate(), tmp_path / "gate.key"
    key.save(path)
    assert SigningKey.load(path).keyid == key.keyid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_never_overwrites_a_key(tmp_path: Path) -> None:
    first, path = SigningKey.generate(), tmp_path / "gate.key"
    first.save(path)
    with pytest.raises(SettingsError, match="never overwritten"):
        SigningKey.generate().save(path)
    assert SigningKey.load(path).keyid == first.keyid


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_refuses_a_key_file_that_others_can_reach(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "gate.key"
    SigningKey.generate().save(path)
    path.chmod(mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        SigningKey.load(path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"hello", b"plantops-ed25519-seed:", b"plantops-ed25519-seed:AAAA\n"]
)
def test_refuses_a_file_that_holds_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gate.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SettingsError):
        SigningKey.load(path)


def test_says_when_there_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read key file"):
        SigningKey.load(tmp_path / "absent.key")


def test_a_private_key_shows_up_nowhere() -> None:
    key = SigningKey.from_seed(SEED)
    assert repr(key) == f"SigningKey(keyid={key.keyid!r})"
    with pytest.raises(TypeError):
        pickle.dumps(key)
