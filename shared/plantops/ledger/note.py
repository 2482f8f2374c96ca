"""Signed notes with Ed25519 signatures (C2SP signed-note): readable text, then one line per signer.

A signer's line is of one of two kinds: over the text as it is, or a timed cosignature (`cosignature`).
"""

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, Self

from plantops.ledger import strict_base64
from plantops.ledger.keys import SigningKey, VerifyKey
from plantops.runtime.errors import MalformedEnvelope, SettingsError, SignatureInvalid, UntrustedKey

MAX_NOTE_BYTES: Final = 64 * 1024
MAX_SIGNATURES: Final = 100
_HASH_BYTES: Final = 4
_LINE_START: Final = "\u2014 "


class Kind(Enum):
    """What a line signs (signed-note, "Signature types"); part of what the key hash covers."""

    TEXT = b"\x01"
    COSIGNATURE = b"\x04"


class Line(NamedTuple):
    """One signature line, taken apart and unverified."""

    name: str
    key_hash: bytes
    signature: bytes


@dataclass(frozen=True)
class NoteKey:
    """A signer's public key under its name; name and kind are part of what the 4-byte key hash covers."""

    name: str
    key: VerifyKey
    kind: Kind = Kind.TEXT

    def __post_init__(self) -> None:
        """Raises SettingsError when the name is empty or holds white space or a plus sign."""
        if not _is_name(self.name):
            raise SettingsError(
                f"{self.name!r} cannot name a note key: no white space, no plus sign, not empty"
            )

    @property
    def key_hash(self) -> bytes:
        named = self.name.encode() + b"\n" + self.kind.value + self.key.raw
        return hashlib.sha256(named).digest()[:_HASH_BYTES]

    def to_vkey(self) -> str:
        """Write "<name>+<hex key hash>+<base64 of type and key>" (signed-note, "Verifier keys")."""
        return f"{self.name}+{self.key_hash.hex()}+{strict_base64.encode(self.kind.value + self.key.raw)}"

    @classmethod
    def from_vkey(cls, text: str) -> Self:
        """Read what `to_vkey` wrote.

        Raises:
            SettingsError: another shape, another key type, or a hash that does not fit name and key.
        """
        # At most two splits: the base64 of the key may hold plus signs, the name may not.
        parts = text.split("+", 2)
        try:
            name, key_hash, encoded = parts
            raw = strict_base64.decode(encoded)
        except ValueError as error:
            raise SettingsError(f"{text!r} is not a verifier key '<name>+<hash>+<base64 key>'") from error
        try:
            kind = Kind(raw[:1])
        except ValueError as error:
            raise SettingsError(f"verifier key {text!r} is not an Ed25519 key (type 1 or 4)") from error
        found = cls(name, VerifyKey(raw[1:]), kind)
        if found.key_hash.hex() != key_hash:
            raise SettingsError(
                f"verifier key {text!r} is mistyped: its hash should be {found.key_hash.hex()}"
            )
        return found


def sign(text: str, name: str, key: SigningKey) -> bytes:
    """Make a note of `text` with one signature.

    Raises:
        MalformedEnvelope: the text cannot stand in a note.
    """
    _check_text(text)
    return f"{text}\n{_signature_line(text, name, key)}".encode()


def add_signature(note: bytes, name: str, key: SigningKey) -> bytes:
    """Add one line (a witness, or a second key in a rotation); the lines that are there stay as they are.

    Raises:
        MalformedEnvelope: not a note.
    """
    text, _lines = parse(note)
    return note + _signature_line(text, name, key).encode()


def add_line(note: bytes, line: Line) -> bytes:
    """Add a line that was signed elsewhere; one that is there already is not repeated.

    Raises:
        MalformedEnvelope: not a note, or more lines than a reader takes.
    """
    _text, lines = parse(note)
    if line in lines:
        return note
    if len(lines) >= MAX_SIGNATURES:
        raise MalformedEnvelope(f"the note has {len(lines)} signatures, the limit is {MAX_SIGNATURES}")
    return note + _written(line).encode()


def open_note(note: bytes, key: NoteKey) -> str:
    """Verify that `key` signed, and give the text; lines of other signers are ignored.

    Raises:
        MalformedEnvelope: not a note.
        UntrustedKey: no line by this key.
        SignatureInvalid: a line by this key does not fit the text.
    """
    if key.kind is not Kind.TEXT:
        raise UntrustedKey(f"{key.name!r} is the key of a witness: it does not sign for the log")
    text, lines = parse(note)
    own = [line for line in lines if (line.name, line.key_hash) == (key.name, key.key_hash)]
    if not own:
        names = tuple(line.name for line in lines)
        raise UntrustedKey(f"the note is signed by {names}, not by {key.name!r}", keyids=names)
    message = text.encode()
    if not all(key.key.is_valid(message, line.signature) for line in own):
        raise SignatureInvalid(
            f"the signature of {key.name!r} does not fit the note: its text was changed", keyid=key.key.keyid
        )
    return text


def _signature_line(text: str, name: str, key: SigningKey) -> str:
    return _written(Line(name, NoteKey(name, key.public).key_hash, key.sign(text.encode())))


def _written(line: Line) -> str:
    return f"{_LINE_START}{line.name} {strict_base64.encode(line.key_hash + line.signature)}\n"


def parse(note: bytes) -> tuple[str, tuple[Line, ...]]:
    """Text and lines, unverified.

    Raises:
        MalformedEnvelope: not a note.
    """
    if len(note) > MAX_NOTE_BYTES:
        raise MalformedEnvelope(f"the note has {len(note)} bytes, the limit is {MAX_NOTE_BYTES}")
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedEnvelope(f"the note is not UTF-8 at byte {error.start}") from error
    body, separator, tail = whole.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise MalformedEnvelope("the note has no blank line followed by complete signature lines")
    text = body + "\n"
    _check_text(text)
    lines = tail.removesuffix("\n").split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise MalformedEnvelope(f"the note has {len(lines)} signatures, the limit is {MAX_SIGNATURES}")
    return text, tuple(_parse_line(line) for line in lines)


def _parse_line(line: str) -> Line:
    name, separator, encoded = line.removeprefix(_LINE_START).partition(" ")
    try:
        blob = strict_base64.decode(encoded)
    except ValueError as error:
        raise MalformedEnvelope(f"signature line {line!r} is not '\u2014 <name> <base64>'") from error
    if not line.startswith(_LINE_START) or not separator or not _is_name(name) or len(blob) <= _HASH_BYTES:
        raise MalformedEnvelope(f"signature line {line!r} is not '\u2014 <name> <base64>'")
    return Line(name, blob[:_HASH_BYTES], blob[_HASH_BYTES:])


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(character < " " and character != "\n" for character in text):
        raise MalformedEnvelope(
            "the text of a note ends with a newline and holds no other control characters"
        )


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " for c in name)
