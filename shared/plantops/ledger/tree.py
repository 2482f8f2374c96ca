"""The Merkle tree of RFC 6962 / RFC 9162, section 2.1: append, root and proofs.

`Tree` keeps only the roots of its perfect subtrees (at most one per bit of the size). Proof functions work on
stored leaf hashes, in leaf order. Hashes are 32 raw bytes.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, Self

from plantops.runtime.errors import IntegrityError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
_SIZE_BYTES: Final = 8


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Root over leaf hashes whose number is a power of two; quicker than a `Tree` that grows."""
    level = list(hashes)
    while len(level) > 1:
        level = [sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=True)]
    return level[0]


class Tree:
    """An append-only tree that forgets its leaves: O(log n) memory, on average two hashes per append."""

    __slots__ = ("_peaks", "_size")

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        """Append each of these leaf hashes."""
        self._size = 0
        self._peaks: list[bytes] = []  # roots of the perfect subtrees, largest (leftmost) first
        for leaf in leaves:
            self.append_hash(leaf)

    @property
    def size(self) -> int:
        return self._size

    def append(self, entry: bytes) -> bytes:
        """Append an entry; gives its leaf hash, which the proof functions need."""
        leaf = sha256(b"\x00" + entry).digest()
        self.append_hash(leaf)
        return leaf

    def append_hash(self, leaf: bytes) -> None:
        """Append an entry that was hashed by `leaf_hash` before."""
        peaks, carry = self._peaks, self._size
        self._size = carry + 1
        while carry & 1:
            leaf = sha256(b"\x01" + peaks.pop() + leaf).digest()
            carry >>= 1
        peaks.append(leaf)

    def root(self) -> bytes:
        """Give the root over all leaves so far; the tree stays open."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for left in reversed(self._peaks[:-1]):
            root = node_hash(left, root)
        return root

    def dump(self) -> bytes:
        """Write size (8 bytes, big-endian) and subtree roots; `load` gives the same tree back."""
        return self._size.to_bytes(_SIZE_BYTES, "big") + b"".join(self._peaks)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Read what `dump` wrote; carries no proof of its own, so compare `root` with a checkpoint.

        Raises:
            IntegrityError: the length does not fit the size.
        """
        size = int.from_bytes(data[:_SIZE_BYTES], "big")
        hashes = data[_SIZE_BYTES:]
        if len(data) < _SIZE_BYTES or len(hashes) != size.bit_count() * HASH_BYTES:
            raise IntegrityError(
                f"stored tree state of {len(data)} bytes is damaged: rebuild it from the log"
            )
        tree = cls()
        tree._size = size
        tree._peaks = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
        return tree


def inclusion_proof(leaves: Sequence[bytes], index: int, size: int) -> tuple[bytes, ...]:
    """Prove that leaf `index` is in the tree of the first `size` leaves (RFC 9162, 2.1.3.1).

    Nearest sibling first.

    Raises:
        ValueError: not 0 <= index < size <= len(leaves).
    """
    if not 0 <= index < size <= len(leaves):
        raise ValueError(f"no leaf {index} in the first {size} of {len(leaves)} leaves")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_root_of(leaves, middle, end))
            end = middle
        else:
            proof.append(_root_of(leaves, start, middle))
            start = middle
    return tuple(reversed(proof))


def consistency_proof(leaves: Sequence[bytes], first: int, second: int) -> tuple[bytes, ...]:
    """Prove that the tree of the first `second` leaves extends that of the first `first` (RFC 9162, 2.1.4.1).

    Empty when `first` is 0 or both are equal.

    Raises:
        ValueError: not 0 <= first <= second <= len(leaves).
    """
    if not 0 <= first <= second <= len(leaves):
        raise ValueError(f"no proof from size {first} to {second} over {len(leaves)} leaves")
    if first in (0, second):
        return ()
    proof: list[bytes] = []
    start, end = 0, second
    while end > first:
        middle = start + _split(end - start)
        if first <= middle:
            proof.append(_root_of(leaves, middle, end))
            end = middle
        else:
            proof.append(_root_of(leaves, start, middle))
            start = middle
    if start > 0:  # otherwise the verifier holds this hash already: it is the old root
        proof.append(_root_of(leaves, start, end))
    return tuple(reversed(proof))


def verify_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether the proof shows the leaf hash at `index` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(
    first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Say whether the proof shows that the second tree extends the first (RFC 9162, 2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    if not proof:
        return False
    is_perfect = first & (first - 1) == 0
    path = (first_root, *proof) if is_perfect else tuple(proof)
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _split(width: int) -> int:
    """Largest power of two below `width` (RFC 9162, 2.1.1)."""
    return 1 << ((width - 1).bit_length() - 1)


def _root_of(leaves: Sequence[bytes], start: int, end: int) -> bytes:
    return Tree(leaves[at] for at in range(start, end)).root()
