"""Keys of machines: `pok_<id>_<secret>`. Kept is a keyed hash of each; the hash's own key is in another file.

A secret has 256 random bits, so a slow hash would make nothing safer that cannot be guessed anyway, and would
let strangers burn our processor; with the keyed one (HMAC-SHA-256) a stolen list alone cannot even be tried.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from plantops.gateway.identity.credentials import Unproved
from plantops.runtime.errors import Refused, SettingsError

LOOK_SECONDS: Final = 1.0
_KEY: Final = re.compile(r"pok_([a-z2-7]{12})_([A-Za-z0-9_-]{43})")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"

log = structlog.get_logger("plantops.gateway.identity")


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One key. `hash` is the HMAC-SHA-256 of the whole key text, hexadecimal."""

    id: str
    principal: str
    hash: str
    made_at: datetime
    expires_at: datetime | None = None
    note: str = ""


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the file."""

    keys: tuple[ApiKey, ...] = ()


@dataclass
class ApiKeys:
    """The keys in `path`, as they stand there now: looked at again once a second, so that a revoked one ends.

    A file that cannot be read lets nobody in.
    """

    path: Path
    _seen: tuple[int, int] | None = None
    _looked_at: float = field(default=float("-inf"))
    _keys: dict[str, ApiKey] = field(default_factory=dict)
    _pepper: bytes = b""

    def principal(self, text: str, now: datetime) -> str:
        """Whose key this is. Raises: Unproved."""
        match = _KEY.fullmatch(text)
        if match is None:
            raise Unproved("api_key", "this is no API key: it begins with pok_")
        self._look()
        key = self._keys.get(match[1])
        if key is None or not self._pepper or not hmac.compare_digest(key.hash, hashed(text, self._pepper)):
            raise Unproved("api_key", "this API key is not known here")
        if key.expires_at is not None and now >= key.expires_at:
            raise Unproved("expired", f"the API key {key.id} has expired: make a new one")
        return key.principal

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_ino)
            if seen != self._seen:
                keys, pepper = read(self.path), pepper_file(self.path).read_bytes()
                self._keys, self._pepper, self._seen = {key.id: key for key in keys.keys}, pepper, seen
        except FileNotFoundError:
            self._keys, self._seen = {}, None
        except (OSError, SettingsError) as error:
            log.warning("api_keys.unreadable", file=str(self.path), reason=str(error))
            self._keys, self._seen = {}, None


def hashed(text: str, pepper: bytes) -> str:
    """What is kept of a key."""
    return hmac.new(pepper, text.encode(), hashlib.sha256).hexdigest()


def pepper_file(path: Path) -> Path:
    """Where the hashes' own key stands."""
    return path.with_suffix(".pepper")


def read(path: Path) -> KeyFile:
    """Raises: SettingsError when it is no such file; FileNotFoundError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=KeyFile)
    except msgspec.DecodeError as error:
        raise SettingsError(f"{path}: {error}", setting="gateway.api_keys.file") from error


def make(path: Path, principal: str, *, days: float | None = None, note: str = "") -> tuple[str, ApiKey]:
    """A new key: its text, which is told this once, and what is kept. Raises: SettingsError, OSError."""
    name = "".join(secrets.choice(_LETTERS) for _ in range(12))
    text = f"pok_{name}_{secrets.token_urlsafe(32)}"
    now = datetime.now(UTC).replace(microsecond=0)
    expires = None if days is None else now + timedelta(days=days)
    hash_ = hashed(text, _pepper(path))
    key = ApiKey(id=name, principal=principal, hash=hash_, made_at=now, expires_at=expires, note=note)
    _write(path, KeyFile((*listed(path), key)))
    return text, key


def listed(path: Path) -> tuple[ApiKey, ...]:
    """The keys in the file, none when it is not there. Raises: SettingsError."""
    return read(path).keys if path.exists() else ()


def revoke(path: Path, name: str) -> ApiKey:
    """Take a key away. Raises: Refused when there is none of this id."""
    keys = listed(path)
    found = next((key for key in keys if key.id == name), None)
    if found is None:
        raise Refused(f"no API key {name!r} in {path}: see `plantops gateway key list`", reason="unknown_key")
    _write(path, KeyFile(tuple(key for key in keys if key is not found)))
    return found


def _pepper(path: Path) -> bytes:
    file = pepper_file(path)
    if not file.exists():
        _write_private(file, secrets.token_bytes(32))
    return file.read_bytes()


def _write(path: Path, keys: KeyFile) -> None:
    _write_private(path, msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n")


def _write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
