"""Checkpoints: a log's signed word about its size and root (C2SP tlog-checkpoint, a signed note)."""

import re
from typing import Final

import msgspec

from plantops.ledger import note, strict_base64
from plantops.ledger.keys import SigningKey
from plantops.ledger.note import NoteKey
from plantops.ledger.tree import EMPTY_ROOT, HASH_BYTES
from plantops.runtime.errors import MalformedEnvelope

MAX_SIZE: Final = 2**63 - 1
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


class Checkpoint(msgspec.Struct, frozen=True):
    """What a log says of itself: `origin` names it, `root` (32 bytes) covers its first `size` entries.

    `extensions` are further lines, opaque and not empty.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """Write the signed body, one item per line."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, _base64(self.root), *self.extensions))


def sign(checkpoint: Checkpoint, key: SigningKey, *, name: str = "") -> bytes:
    """Sign as `name`, which is the origin when left empty, as tlog-checkpoint recommends.

    Raises:
        MalformedEnvelope: the checkpoint would not be read back as the same.
    """
    if parse(checkpoint.text()) != checkpoint:
        raise MalformedEnvelope(f"checkpoint {checkpoint!r} cannot be written: a field holds a newline")
    return note.sign(checkpoint.text(), name or checkpoint.origin, key)


def cosign(signed: bytes, name: str, key: SigningKey) -> bytes:
    """Add a plain signature line; who cosigns must have verified the checkpoint before."""
    return note.add_signature(signed, name, key)


def verify(signed: bytes, key: NoteKey, *, origin: str = "") -> Checkpoint:
    """Give the checkpoint when `key` signed it; the origin must be `origin`, or the key's name when empty.

    Raises:
        MalformedEnvelope: not a checkpoint, or of another log.
        UntrustedKey: `key` has not signed; others may have.
        SignatureInvalid: the signature does not fit the text.
    """
    checkpoint = parse(note.open_note(signed, key))
    expected = origin or key.name
    if checkpoint.origin != expected:
        raise MalformedEnvelope(f"the checkpoint is of log {checkpoint.origin!r}, expected {expected!r}")
    return checkpoint


def parse(text: str) -> Checkpoint:
    """Read a body without believing it.

    Raises:
        MalformedEnvelope: anything but "<origin>\\n<size>\\n<base64 root>\\n" and extension lines.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] != "" or "" in lines[:-1]:
        raise MalformedEnvelope(
            "a checkpoint has an origin, a size and a root, one per line, and no empty line"
        )
    origin, size_text, root_text, *extensions = lines[:-1]
    if _SIZE.fullmatch(size_text) is None or int(size_text) > MAX_SIZE:
        raise MalformedEnvelope(f"checkpoint size {size_text!r} is not a plain decimal number")
    try:
        root = strict_base64.decode(root_text)
    except ValueError as error:
        raise MalformedEnvelope(f"checkpoint root {root_text!r} is not base64") from error
    size = int(size_text)
    if len(root) != HASH_BYTES or (size == 0 and root != EMPTY_ROOT):
        raise MalformedEnvelope(f"checkpoint root {root_text!r} is not the SHA-256 root of {size} entries")
    return Checkpoint(origin, size, root, tuple(extensions))


def _base64(data: bytes) -> str:
    return strict_base64.encode(data)
