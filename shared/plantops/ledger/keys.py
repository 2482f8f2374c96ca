"""Ed25519 keys (RFC 8032) that sign what decides; never used for connections."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final, NoReturn, Self

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from plantops.ledger import strict_base64
from plantops.runtime.errors import SettingsError

KEY_BYTES: Final = 32  # seed and public key alike (RFC 8032, 5.1.5)
SIGNATURE_BYTES: Final = crypto_sign_BYTES
KEYID_HEX_DIGITS: Final = 32
_FILE_PREFIX: Final = "plantops-ed25519-seed:"
_MAX_FILE_BYTES: Final = 1024


class VerifyKey:
    """A public key; equal when the bytes are equal.

    `keyid` is the first 32 hex digits of the SHA-256 of the raw public key: a name, never a proof.
    """

    __slots__ = ("keyid", "raw")

    def __init__(self, raw: bytes) -> None:
        """Raises SettingsError unless `raw` has 32 bytes; a useless point shows when verifying."""
        if len(raw) != KEY_BYTES:
            raise SettingsError(
                f"an Ed25519 public key has {KEY_BYTES} bytes, not {len(raw)}: check the trust settings"
            )
        self.raw: Final = raw
        self.keyid: Final = hashlib.sha256(raw).hexdigest()[:KEYID_HEX_DIGITS]

    @classmethod
    def from_base64(cls, text: str) -> Self:
        """Raises SettingsError when the text is not canonical base64 of 32 bytes."""
        try:
            raw = strict_base64.decode(text)
        except ValueError as error:
            raise SettingsError(f"public key {text!r} is not base64: check the trust settings") from error
        return cls(raw)

    def to_base64(self) -> str:
        return strict_base64.encode(self.raw)

    def is_valid(self, message: bytes, signature: bytes) -> bool:
        """Say whether this key made `signature` over `message`; any length but 64 bytes is False."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        try:
            crypto_sign_open(signature + message, self.raw)
        except BadSignatureError:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifyKey) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"VerifyKey({self.to_base64()!r})"


class RevokedKey(VerifyKey):
    """A key whose word counts for the first `until` entries of the log only.

    It equals neither the key itself nor one that was revoked at another size.
    """

    __slots__ = ("until",)

    def __init__(self, raw: bytes, until: int) -> None:
        """Raises SettingsError as `VerifyKey`."""
        super().__init__(raw)
        self.until: Final = until

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RevokedKey) and (self.raw, self.until) == (other.raw, other.until)

    def __hash__(self) -> int:
        return hash((self.raw, self.until))

    def __repr__(self) -> str:
        return f"RevokedKey({self.to_base64()!r}, {self.until})"


class SigningKey:
    """A private key; neither `repr` nor pickling gives it away, and only `save` writes it down."""

    __slots__ = ("_expanded", "keyid", "public")

    def __init__(self, seed: bytes) -> None:
        """Raises SettingsError unless the seed has 32 bytes."""
        if len(seed) != KEY_BYTES:
            raise SettingsError(
                f"an Ed25519 seed has {KEY_BYTES} bytes, not {len(seed)}: make a key with `generate`"
            )
        raw, self._expanded = crypto_sign_seed_keypair(seed)
        self.public: Final = VerifyKey(raw)
        self.keyid: Final = self.public.keyid

    @classmethod
    def generate(cls) -> Self:
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        return cls(seed)

    def sign(self, message: bytes) -> bytes:
        """Sign; the same message gives the same 64 bytes (RFC 8032 is deterministic)."""
        return crypto_sign(message, self._expanded)[:SIGNATURE_BYTES]

    def save(self, path: Path) -> None:
        """Write one line, readable by its owner only, and sync it; the folder must exist.

        Raises:
            SettingsError: the file exists already (a key is never overwritten) or cannot be written.
        """
        line = f"{_FILE_PREFIX}{strict_base64.encode(self._expanded[:KEY_BYTES])}\n"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise SettingsError(
                f"{path} exists: a key is never overwritten, move the old one away first"
            ) from error
        except OSError as error:
            raise SettingsError(f"cannot write key file {path}: {error.strerror}") from error
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            SettingsError: no such file, readable by group or others, or not a key file.
        """
        text = _read_private(path).removesuffix("\n")
        if not text.startswith(_FILE_PREFIX):
            raise SettingsError(f"{path} is not a PlantOps key file: it must begin with {_FILE_PREFIX!r}")
        try:
            seed = strict_base64.decode(text.removeprefix(_FILE_PREFIX))
        except ValueError:
            # Without `from`: the cause would carry the text of the key into a trace.
            raise SettingsError(f"key file {path} is damaged: restore it from its backup") from None
        if len(seed) != KEY_BYTES:
            raise SettingsError(f"key file {path} is damaged: restore it from its backup")
        return cls(seed)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key is not pickled: load it from its file")

    def __repr__(self) -> str:
        return f"SigningKey(keyid={self.keyid!r})"


def _read_private(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise SettingsError(
                    f"key file {path} is open to others (mode {mode:04o}): run `chmod 600 {path}`"
                )
            return file.read(_MAX_FILE_BYTES).decode("ascii")
    except OSError as error:
        raise SettingsError(f"cannot read key file {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not a PlantOps key file: it is not text") from None
