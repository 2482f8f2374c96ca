"""Connection keys: the nkey with which a process logs in to the broker. They never sign what decides."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final, NoReturn, Self

import nkeys  # type: ignore[import-untyped]  # the library ships no types

from plantops.runtime.errors import SettingsError

_RAW_BYTES: Final = 32
_MAX_FILE_BYTES: Final = 1024


class NKey:
    """A user nkey. `public` (`U...`) goes into the server's configuration, `seed` (`SU...`) stays here.

    Neither `repr` nor pickling gives the seed away. The file is one line, as NATS tools read it.
    """

    __slots__ = ("_seed", "public")

    def __init__(self, seed: str) -> None:
        """Raises: SettingsError when `seed` is no seed of a user, or was damaged."""
        self._seed: Final = seed
        self.public: Final = _public_key(seed)

    @classmethod
    def generate(cls) -> Self:
        raw = nkeys.encode_seed(os.urandom(_RAW_BYTES), nkeys.PREFIX_BYTE_USER)
        return cls(raw.decode("ascii"))

    @property
    def seed(self) -> str:
        """The secret; for the connection only, never for a log or a message."""
        return self._seed

    def save(self, path: Path) -> None:
        """Write one line, readable by its owner only, and sync it; the folder must exist.

        Raises: SettingsError when the file exists (a key is never overwritten) or cannot be written.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise SettingsError(
                f"{path} exists: a key is never overwritten, move the old one away first"
            ) from error
        except OSError as error:
            raise SettingsError(f"cannot write connection key {path}: {error.strerror}") from error
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{self._seed}\n")
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises: SettingsError when there is no such file, others may read it, or it holds no user's seed.
        """
        try:
            return cls(_read_private(path).strip())
        except SettingsError as error:
            raise SettingsError(f"connection key {path}: {error.message}") from None

    def __reduce__(self) -> NoReturn:
        raise TypeError("a connection key is not pickled: load it from its file")

    def __repr__(self) -> str:
        return f"NKey({self.public!r})"


def is_public_user_key(text: str) -> bool:
    """Whether `text` has the shape of a user's public nkey; the server checks the rest."""
    return len(text) == 56 and text[0] == "U" and text.isascii() and text.isalnum() and text.isupper()


def _public_key(seed: str) -> str:
    damaged = SettingsError("not a seed of a user (SU...), or damaged: make one with `plantops init`")
    try:
        prefix, raw = nkeys.decode_seed(bytearray(seed, "ascii"))
    except (nkeys.NkeysError, ValueError):
        raise damaged from None
    # The library checks neither the length nor the checksum: a changed letter would be another key.
    if prefix != nkeys.PREFIX_BYTE_USER or len(raw) != _RAW_BYTES:
        raise damaged
    if nkeys.encode_seed(bytes(raw), prefix).decode("ascii") != seed:
        raise damaged
    public: bytes = nkeys.from_seed(bytearray(seed, "ascii")).public_key
    return public.decode("ascii")


def _read_private(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise SettingsError(f"open to others (mode {mode:04o}): run `chmod 600 {path}`")
            return file.read(_MAX_FILE_BYTES).decode("ascii")
    except OSError as error:
        raise SettingsError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SettingsError("is not text") from None
