"""One record and the proof that a log holds it, as a file for somebody who has neither log nor network.

The format is C2SP tlog-proof; the record itself travels as its `extra` data and is believed for its hash.
"""

from typing import Final

import msgspec

from plantops.ledger import note, strict_base64
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.checkpoint import parse as parse_checkpoint
from plantops.ledger.tree import HASH_BYTES, leaf_hash, verify_inclusion
from plantops.runtime.errors import MalformedEnvelope

MAX_PROOF_BYTES: Final = 256 * 1024
_FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
_MAX_PATH: Final = 63


class Proof(msgspec.Struct, frozen=True):
    """`entry` stands at leaf `index` (0-based); `path` has the nearest sibling first; `checkpoint` is the
    signed note, verbatim. Nothing of it is verified by reading it."""

    entry: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes

    def holds_in(self, checkpoint: Checkpoint) -> bool:
        """Whether the entry is the one at `index` of this log; whether to believe the checkpoint is asked
        before."""
        leaf = leaf_hash(self.entry)
        return verify_inclusion(leaf, self.index, checkpoint.size, checkpoint.root, self.path)


def encode(proof: Proof) -> bytes:
    """Write the file; `decode` gives the same proof back."""
    lines = [_FIRST_LINE, f"extra {strict_base64.encode(proof.entry)}", f"index {proof.index}"]
    lines += map(strict_base64.encode, proof.path)
    return "\n".join([*lines, "", ""]).encode() + proof.checkpoint


def decode(data: bytes) -> Proof:
    """Read a file, believing nothing.

    Raises:
        MalformedEnvelope: not a proof as `encode` writes it; without the record it is none for us.
    """
    if len(data) > MAX_PROOF_BYTES:
        raise MalformedEnvelope(f"the proof has {len(data)} bytes, the limit is {MAX_PROOF_BYTES}")
    head, separator, signed = data.partition(b"\n\n")
    if not separator:
        raise MalformedEnvelope("the proof has no empty line before its checkpoint")
    try:
        _first, extra, index, *path = head.decode("ascii").split("\n")
        number = int(index.removeprefix("index "))
        entry = strict_base64.decode(extra.removeprefix("extra "))
        proof = Proof(entry, number, tuple(map(strict_base64.decode, path)), signed)
    except ValueError as error:
        raise MalformedEnvelope(f"this is no proof of a record: {error}") from error
    parse_checkpoint(note.parse(signed)[0])
    sound = len(path) <= _MAX_PATH and all(len(one) == HASH_BYTES for one in proof.path)
    if not sound or number < 0 or encode(proof) != data:
        raise MalformedEnvelope("the proof is not written as tlog-proof says")
    return proof
