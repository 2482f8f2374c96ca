"""Merkle trees of RFC 6962 / RFC 9162: leaf hashes, roots and proofs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from plantops.ledger.tree import Tree, consistency_proof, inclusion_proof, leaf_hash

# The entries by which implementations of Certificate Transparency check each other; then more of the same.
_KNOWN: Final = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
_ENTRIES: Final = (*map(bytes.fromhex, _KNOWN), *(b"entry %d" % number for number in range(8, 13)))


def trees() -> dict[str, Any]:
    """All sizes, all inclusion proofs and all consistency proofs over the entries."""
    leaves = [leaf_hash(entry) for entry in _ENTRIES]
    sizes = range(len(leaves) + 1)
    return {
        "about": "RFC 9162, 2.1: leaf hash SHA-256(0x00 || entry), node hash SHA-256(0x01 || left || right). "
        "All bytes in hexadecimal. Proofs begin with the sibling that is nearest to the leaf. The first "
        "eight entries are those of the Certificate Transparency implementations.",
        "entries": [entry.hex() for entry in _ENTRIES],
        "leaf_hashes": _hex(leaves),
        "roots": [Tree(leaves[:size]).root().hex() for size in sizes],
        "inclusion": [
            {"index": index, "size": size, "proof": _hex(inclusion_proof(leaves, index, size))}
            for size in sizes
            for index in range(size)
        ],
        "consistency": [
            {"first": first, "second": second, "proof": _hex(consistency_proof(leaves, first, second))}
            for second in sizes
            for first in range(1, second + 1)
        ],
    }


def _hex(hashes: Iterable[bytes]) -> list[str]:
    return [each.hex() for each in hashes]
