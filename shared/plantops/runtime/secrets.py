"""Secrets: an encrypted file, and the references by which configuration names them without holding them.

The file is text: a line that names the format, a line of JSON with the key derivation, and the base64 of a
libsodium secret box (XSalsa20-Poly1305) over the secrets. The key comes from the passphrase by Argon2id
(RFC 9106) with parameters that stand in the file; who changes them changes the key, which opens nothing.
"""

import base64
import binascii
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.utils import random

from plantops.runtime.errors import IntegrityError, SettingsError

MAX_SECRET_CHARACTERS: Final = 64 * 1024
REFERENCE_KINDS: Final = ("secret", "file", "env")
"""What a reference to a secret begins with, before its colon."""
_FORMAT: Final = b"plantops-secrets:v1"
_MAX_FILE_BYTES: Final = 16 * 1024 * 1024
_HOW_TO: Final = (
    "write 'secret:NAME' (encrypted store), 'file:PATH' (mounted file) or 'env:NAME' (environment)"
)


class Secret(str):
    """A string that `repr` does not show; `str` and formatting do, so hand it only to its user."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(***)"


@dataclass(frozen=True)
class Cost:
    """What one guess at the passphrase costs: passes over memory, and its size in bytes."""

    passes: int
    memory_bytes: int


# libsodium's recommendation for sensitive data that is read now and then: about a second, 256 MiB.
MODERATE: Final = Cost(pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE)


class _Derivation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="argon2id", tag_field="kdf"):
    """Bounded, so that a file from elsewhere cannot make this process take all memory or an hour."""

    passes: Annotated[int, msgspec.Meta(ge=pwhash.argon2id.OPSLIMIT_MIN, le=16)]
    memory_bytes: Annotated[int, msgspec.Meta(ge=pwhash.argon2id.MEMLIMIT_MIN, le=1024**3)]
    salt: Annotated[
        bytes, msgspec.Meta(min_length=pwhash.argon2id.SALTBYTES, max_length=pwhash.argon2id.SALTBYTES)
    ]


class SecretStore:
    """The secrets of one file, in memory; `set` writes through. One process writes, any number read."""

    def __init__(self, path: Path, derivation: _Derivation, box: SecretBox, values: dict[str, str]) -> None:
        """For `create` and `open` only."""
        self._path = path
        self._derivation = derivation
        self._box = box
        self._values = values

    @classmethod
    def create(cls, path: Path, passphrase: str, *, cost: Cost = MODERATE) -> "SecretStore":
        """Write a new, empty store, mode 0600.

        Raises:
            SettingsError: the file exists, cannot be written, or the passphrase is empty.
        """
        if path.exists():
            raise SettingsError(f"{path} exists: open it, or move it away to begin a new store")
        derivation = _Derivation(cost.passes, cost.memory_bytes, random(pwhash.argon2id.SALTBYTES))
        store = cls(path, derivation, _box(derivation, passphrase), {})
        store._write()
        return store

    @classmethod
    def open(cls, path: Path, passphrase: str) -> "SecretStore":
        """Read and decrypt a store; takes as long as its derivation demands.

        Raises:
            SettingsError: no such file, wrong passphrase, or changed bytes (the two cannot be told apart).
            IntegrityError: the file is not a store at all.
        """
        derivation, sealed = _read(path)
        box = _box(derivation, passphrase)
        try:
            plain = box.decrypt(sealed)
        except (CryptoError, ValueError):
            raise SettingsError(f"cannot decrypt {path}: wrong passphrase, or the file was changed") from None
        try:
            return cls(path, derivation, box, msgspec.json.decode(plain, type=dict[str, str]))
        except msgspec.DecodeError:
            # Without `from`: the cause could quote a secret.
            raise IntegrityError(f"{path} decrypts to something else than secrets", path=str(path)) from None

    def get(self, name: str) -> Secret:
        """Raises SettingsError when there is no such secret."""
        if name not in self._values:
            raise SettingsError(
                f"{self._path} holds no secret {name!r}: add it there", setting=f"secret:{name}"
            )
        return Secret(self._values[name])

    def set(self, name: str, value: str) -> None:
        """Add or replace a secret and write the file; a crash leaves the old or the new state, whole.

        Raises:
            SettingsError: empty name, empty or oversized value, or the file cannot be written.
        """
        if not name or not 0 < len(value) <= MAX_SECRET_CHARACTERS:
            raise SettingsError(f"secret {name!r} needs a name and 1 to {MAX_SECRET_CHARACTERS} characters")
        before = self._values
        self._values = {**before, name: str(value)}
        try:
            self._write()
        except SettingsError:
            self._values = before
            raise

    def names(self) -> tuple[str, ...]:
        """Give the names in alphabetical order."""
        return tuple(sorted(self._values))

    def __repr__(self) -> str:
        return f"SecretStore({str(self._path)!r}, {len(self._values)} secrets)"

    def _write(self) -> None:
        sealed = self._box.encrypt(msgspec.json.encode(self._values))
        lines = (_FORMAT, msgspec.json.encode(self._derivation), base64.b64encode(sealed), b"")
        fresh = self._path.with_name(f".{self._path.name}.new")
        try:
            fresh.unlink(missing_ok=True)  # left by a crash; its mode is not to be trusted
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(b"\n".join(lines))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            raise SettingsError(f"cannot write {self._path}: {error.strerror}") from error


def resolve_secret(reference: str, *, store: SecretStore | None, environment: Mapping[str, str]) -> Secret:
    """Give the secret that a setting refers to: 'secret:NAME', 'file:PATH' or 'env:NAME'.

    Raises:
        SettingsError: nothing there, or the setting holds something else, perhaps the secret itself, so
            that the message does not repeat it.
    """
    kind, _, name = reference.partition(":")
    match kind:
        case "secret" if name and store is not None:
            return store.get(name)
        case "secret" if name:
            raise SettingsError(
                f"{reference!r} needs the encrypted store, and none is open", setting=reference
            )
        case "file" if name:
            return _from_file(Path(name))
        case "env" if name:
            value = environment.get(name, "")
            if not value:
                raise SettingsError(f"environment variable {name!r} is empty or not set", setting=reference)
            return Secret(value)
        case _:
            raise SettingsError(f"secrets never stand in configuration: {_HOW_TO}")


def _from_file(path: Path) -> Secret:
    """Mounted secrets are often 0444, so who reads is left to the mount; others must not change it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(MAX_SECRET_CHARACTERS + 1)
    except OSError as error:
        raise SettingsError(
            f"cannot read secret file {path}: {error.strerror}", setting=f"file:{path}"
        ) from error
    if mode & 0o022:
        raise SettingsError(f"secret file {path} can be changed by others: run `chmod go-w {path}`")
    try:
        # One newline at the end is how editors and `echo` write a line; more are part of the secret.
        value = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SettingsError(f"secret file {path} is not UTF-8 text") from None
    if not 0 < len(value) <= MAX_SECRET_CHARACTERS:
        raise SettingsError(f"secret file {path} is empty or longer than {MAX_SECRET_CHARACTERS} characters")
    return Secret(value)


def _box(derivation: _Derivation, passphrase: str) -> SecretBox:
    if not passphrase:
        raise SettingsError("the passphrase of the secret store is empty")
    key = pwhash.argon2id.kdf(
        SecretBox.KEY_SIZE,
        passphrase.encode(),
        derivation.salt,
        opslimit=derivation.passes,
        memlimit=derivation.memory_bytes,
    )
    return SecretBox(key)


def _read(path: Path) -> tuple[_Derivation, bytes]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"cannot read secret store {path}: {error.strerror}") from error
    lines = data.split(b"\n")
    if len(data) > _MAX_FILE_BYTES or len(lines) != 4 or lines[0] != _FORMAT or lines[3]:
        raise IntegrityError(
            f"{path} is not a secret store, or is damaged: restore its backup", path=str(path)
        )
    try:
        return msgspec.json.decode(lines[1], type=_Derivation), base64.b64decode(lines[2], validate=True)
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error) as error:
        raise IntegrityError(f"secret store {path} is damaged: restore its backup", path=str(path)) from error
