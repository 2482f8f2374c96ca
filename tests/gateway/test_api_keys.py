"""Keys of machines: told once, kept hashed, taken away at once."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from plantops.gateway.identity import api_keys
from plantops.gateway.identity.api_keys import ApiKeys, listed, make, pepper_file, revoke
from plantops.gateway.identity.credentials import Unproved
from plantops.gateway.settings import GatewaySettings
from plantops.runtime.errors import Refused, SettingsError
from support.gateway_frame import frame_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway" / "api-keys.json"


def test_a_key_says_whose_it_is(file: Path) -> None:
    text, key = make(file, "dave", note="line 1")
    assert ApiKeys(file).principal(text, NOW) == "dave"
    assert [each.id for each in listed(file)] == [key.id]


def test_what_is_kept_does_not_tell_the_key(file: Path) -> None:
    text, _key = make(file, "dave")
    kept = file.read_bytes() + pepper_file(file).read_bytes()
    assert text.encode() not in kept
    assert text.split("_", 2)[2].encode() not in kept
    assert [path.stat().st_mode & 0o777 for path in (file, pepper_file(file))] == [0o600, 0o600]


def test_the_same_list_under_another_pepper_lets_nobody_in(file: Path) -> None:
    text, _key = make(file, "dave")
    pepper_file(file).write_bytes(os.urandom(32))
    with pytest.raises(Unproved):
        ApiKeys(file).principal(text, NOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"),
        lambda t: t[:-1],
        lambda t: t + "A",
        lambda t: "pok_" + "a" * 12 + t[16:],
    ],
)
def test_nearly_the_key_is_not_the_key(file: Path, change: object) -> None:
    text, _key = make(file, "dave")
    with pytest.raises(Unproved):
        ApiKeys(file).principal(change(text), NOW)  # type: ignore[operator]


def test_a_key_ends_with_its_time(file: Path) -> None:
    text, key = make(file, "dave", days=1)
    assert key.expires_at is not None
    keys = ApiKeys(file)
    assert keys.principal(text, key.expires_at - timedelta(seconds=1)) == "dave"
    with pytest.raises(Unproved, match="expired"):
        keys.principal(text, key.expires_at)


def test_a_revoked_key_ends_while_the_gateway_runs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "LOOK_SECONDS", 0.0)
    first, key = make(file, "dave")
    second, _other = make(file, "erin")
    keys = ApiKeys(file)
    assert (keys.principal(first, NOW), keys.principal(second, NOW)) == ("dave", "erin")
    revoke(file, key.id)
    with pytest.raises(Unproved):
        keys.principal(first, NOW)
    assert keys.principal(second, NOW) == "erin"


def test_a_damaged_file_lets_nobody_in_and_its_repair_does(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "LOOK_SECONDS", 0.0)
    text, _key = make(file, "dave")
    keys, whole = ApiKeys(file), file.read_bytes()
    assert keys.principal(text, NOW) == "dave"
    file.write_bytes(b'{"keys": [')
    with pytest.raises(Unproved):
        keys.principal(text, NOW)
    file.write_bytes(whole)
    assert keys.principal(text, NOW) == "dave"


def test_a_key_that_is_not_there_cannot_be_revoked(file: Path) -> None:
    with pytest.raises(Refused):
        revoke(file, "abcdefghijkl")


def test_an_unknown_field_in_the_file_is_an_error(file: Path) -> None:
    make(file, "dave")
    file.write_bytes(file.read_bytes().replace(b'"note"', b'"nota"'))
    with pytest.raises(SettingsError, match="nota"):
        listed(file)


async def test_over_http_a_key_is_taken_as_header_or_as_bearer(tmp_path: Path) -> None:
    settings = GatewaySettings(port=0)
    text, _key = make(tmp_path / settings.api_keys.file, "dave")
    stranger, _key = make(tmp_path / settings.api_keys.file, "nobody")
    async with frame_of(tmp_path, settings) as frame, frame.client() as client:
        header = await client.get("/v1/me", headers={"X-API-Key": text})
        bearer = await client.get("/v1/me", headers={"Authorization": f"Bearer {text}"})
        wrong = await client.get("/v1/me", headers={"X-API-Key": text[:-1] + "-"})
        unknown = await client.get("/v1/me", headers={"X-API-Key": stranger})
    assert (header.json()["name"], header.json()["how"]) == ("dave", "api_key")
    assert bearer.json()["name"] == "dave"
    assert (wrong.status_code, unknown.status_code) == (401, 403)
