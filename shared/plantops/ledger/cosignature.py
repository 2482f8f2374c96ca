"""What a witness adds to a checkpoint (C2SP tlog-cosignature, Ed25519): it saw this one extend the last.

The signature covers the time too: a witness that was cut off cannot be made to look as if it still watched.
"""

from typing import Final

from plantops.ledger import checkpoint as checkpoints
from plantops.ledger import note
from plantops.ledger.keys import SIGNATURE_BYTES, SigningKey
from plantops.ledger.note import Kind, Line, NoteKey
from plantops.runtime.errors import MalformedEnvelope, SignatureInvalid

_TIME_BYTES: Final = 8
_MAX_TIME: Final = 2**63 - 1


def cosign(signed: bytes, name: str, key: SigningKey, at: int) -> bytes:
    """Add the cosignature of witness `name`, made `at` seconds since 1970.

    Who calls this has verified the checkpoint and stored that it did (C2SP tlog-witness).

    Raises:
        MalformedEnvelope: not a checkpoint.
        ValueError: a time that the format cannot hold.
    """
    if not 0 <= at <= _MAX_TIME:
        raise ValueError(f"{at} seconds since 1970 cannot be written into a cosignature")
    text, _lines = note.parse(signed)
    checkpoints.parse(text)
    signer = NoteKey(name, key.public, Kind.COSIGNATURE)
    signature = at.to_bytes(_TIME_BYTES, "big") + key.sign(_message(text, at))
    return note.add_line(signed, Line(name, signer.key_hash, signature))


def cosigned_at(signed: bytes, witness: NoteKey) -> int | None:
    """When this witness cosigned, in seconds since 1970, the latest time if several; None when it did not.

    Raises:
        MalformedEnvelope: not a note.
        SignatureInvalid: a line under its name and key does not fit.
    """
    text, lines = note.parse(signed)
    times = [
        _verified(text, line.signature, witness)
        for line in lines
        if (line.name, line.key_hash) == (witness.name, witness.key_hash)
    ]
    return max(times, default=None)


def gathered(signed: bytes, *others: bytes) -> bytes:
    """`signed` with every line that the others have over the same text; others are left out.

    Raises:
        MalformedEnvelope: one of them is not a note.
    """
    text, _lines = note.parse(signed)
    for other in others:
        other_text, lines = note.parse(other)
        for line in lines if other_text == text else ():
            signed = note.add_line(signed, line)
    return signed


def _verified(text: str, signature: bytes, witness: NoteKey) -> int:
    if witness.kind is not Kind.COSIGNATURE or len(signature) != _TIME_BYTES + SIGNATURE_BYTES:
        raise MalformedEnvelope(f"the line of {witness.name!r} is no cosignature")
    at = int.from_bytes(signature[:_TIME_BYTES], "big")
    if at > _MAX_TIME or not witness.key.is_valid(_message(text, at), signature[_TIME_BYTES:]):
        raise SignatureInvalid(
            f"the cosignature of {witness.name!r} does not fit: text or time were changed after signing",
            keyid=witness.key.keyid,
        )
    return at


def _message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()
