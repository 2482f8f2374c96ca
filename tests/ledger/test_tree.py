"""Against the definition of RFC 6962, 2.1, written down a second time as it stands there."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.ledger import tree
from plantops.runtime.errors import IntegrityError

LARGEST = 130

# Entries and roots of the reference tests of the certificate-transparency code.
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def by_definition(entries: Sequence[bytes]) -> bytes:
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return sha256(b"\x01" + by_definition(entries[:k]) + by_definition(entries[k:])).digest()


MANY = [b"entry %d" % n for n in range(LARGEST)]
LEAVES = [tree.leaf_hash(entry) for entry in MANY]
EVERY_ROOT = [by_definition(MANY[:size]) for size in range(LARGEST + 1)]


def test_gives_the_roots_of_the_reference_tests() -> None:
    growing = tree.Tree()
    for entry, root in zip(ENTRIES, ROOTS, strict=True):
        growing.append(entry)
        assert growing.root().hex() == root


def test_gives_the_root_of_the_definition_for_every_size() -> None:
    growing = tree.Tree()
    for size in range(LARGEST):
        assert (growing.size, growing.root()) == (size, EVERY_ROOT[size])
        assert growing.append(MANY[size]) == LEAVES[size]
    assert growing.root() == EVERY_ROOT[LARGEST]


def test_a_stored_tree_goes_on_as_if_it_had_never_stopped() -> None:
    for size in range(LARGEST):
        resumed = tree.Tree.load(tree.Tree(LEAVES[:size]).dump())
        resumed.append_hash(LEAVES[size])
        assert resumed.root() == EVERY_ROOT[size + 1]


def test_refuses_a_damaged_stored_tree() -> None:
    data = tree.Tree(LEAVES[:5]).dump()
    for damaged in (b"", data[:-1], data + b"x", data[:7], bytes(7) + b"\x07" + data[8:]):
        with pytest.raises(IntegrityError):
            tree.Tree.load(damaged)


def test_every_leaf_of_every_size_is_proved_and_no_other_is() -> None:
    for size in range(1, LARGEST + 1):
        root = EVERY_ROOT[size]
        for index in range(size):
            proof = tree.inclusion_proof(LEAVES, index, size)
            assert tree.verify_inclusion(LEAVES[index], index, size, root, proof)
            assert not tree.verify_inclusion(LEAVES[index - 1] if size > 1 else b"", index, size, root, proof)
            assert not tree.verify_inclusion(LEAVES[index], index, size, EVERY_ROOT[size - 1], proof)
            assert not tree.verify_inclusion(LEAVES[index], index, size, root, (*proof, root))
            if proof:
                assert not tree.verify_inclusion(LEAVES[index], index, size, root, proof[:-1])
                assert not tree.verify_inclusion(LEAVES[index], index, size, root, (root, *proof[1:]))


def test_every_size_is_consistent_with_every_larger_one_and_with_no_fork() -> None:
    for second in range(LARGEST + 1):
        for first in range(second + 1):
            old, new = EVERY_ROOT[first], EVERY_ROOT[second]
            proof = tree.consistency_proof(LEAVES, first, second)
            assert tree.verify_consistency(first, old, second, new, proof)
            assert not tree.verify_consistency(first, b"\x00" * 32, second, new, proof)
            assert not tree.verify_consistency(first, old, second, new, (*proof, old))
            if first:  # the empty tree is the past of every tree
                assert not tree.verify_consistency(first, old, second, old + b"x", proof)
            if proof:
                assert not tree.verify_consistency(first, old, second, new, proof[:-1])
                assert not tree.verify_consistency(second, new, first, old, proof)


@given(data=st.data(), size=st.integers(2, LARGEST))
def test_a_proof_with_any_bit_flipped_proves_nothing(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = list(tree.inclusion_proof(LEAVES, index, size))
    at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    proof[at] = (int.from_bytes(proof[at], "big") ^ (1 << bit)).to_bytes(32, "big")
    assert not tree.verify_inclusion(LEAVES[index], index, size, EVERY_ROOT[size], proof)


@given(first=st.integers(1, LARGEST), second=st.integers(1, LARGEST), changed=st.integers(0, LARGEST - 1))
def test_no_proof_joins_a_tree_whose_past_was_changed(first: int, second: int, changed: int) -> None:
    first, second = sorted((first, second))
    changed %= first
    forked = [*LEAVES[:changed], tree.leaf_hash(b"forged"), *LEAVES[changed + 1 :]]
    proof = tree.consistency_proof(forked, first, second)
    new = tree.Tree(forked[:second]).root()
    assert not tree.verify_consistency(first, EVERY_ROOT[first], second, new, proof)


def test_an_inner_node_never_passes_for_a_leaf_nor_a_tree_for_a_smaller_one() -> None:
    inner, sibling = tree.node_hash(*LEAVES[0:2]), tree.node_hash(*LEAVES[2:4])
    assert tree.node_hash(inner, sibling) == EVERY_ROOT[4]
    assert not tree.verify_inclusion(inner, 0, 4, EVERY_ROOT[4], (sibling,))
    assert not tree.verify_inclusion(LEAVES[3], 1, 2, EVERY_ROOT[4], tree.inclusion_proof(LEAVES, 3, 4))


def test_a_consistency_proof_holds_for_its_own_sizes_only() -> None:
    for sizes, claimed in (((1, 2), (1, 3)), ((7, 8), (3, 4))):
        first, second = sizes
        proof = tree.consistency_proof(LEAVES, first, second)
        assert not tree.verify_consistency(
            claimed[0], EVERY_ROOT[first], claimed[1], EVERY_ROOT[second], proof
        )


def test_refuses_to_prove_what_is_not_there() -> None:
    for index, size in ((-1, 3), (3, 3), (0, 0), (0, LARGEST + 1)):
        with pytest.raises(ValueError, match="no leaf"):
            tree.inclusion_proof(LEAVES, index, size)
    for first, second in ((-1, 3), (4, 3), (0, LARGEST + 1)):
        with pytest.raises(ValueError, match="no proof"):
            tree.consistency_proof(LEAVES, first, second)
    assert not tree.verify_inclusion(LEAVES[0], 1, 1, EVERY_ROOT[1], ())
