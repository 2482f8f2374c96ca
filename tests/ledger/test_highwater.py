from pathlib import Path

import pytest

from plantops.ledger import highwater
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.tree import Tree, consistency_proof, leaf_hash
from plantops.runtime.errors import IntegrityError

LEAVES = [leaf_hash(b"%d" % number) for number in range(20)]
FORK = [*LEAVES[:4], leaf_hash(b"other"), *LEAVES[5:]]


def seen(leaves: list[bytes], size: int, origin: str = "demo") -> Checkpoint:
    return Checkpoint(origin, size, Tree(leaves[:size]).root())


def both_ways(old: Checkpoint, new: Checkpoint, leaves: list[bytes]) -> FindingKind | None:
    """Compare by proof and by rebuilding, which must agree."""
    proof = consistency_proof(leaves, old.size, new.size) if old.size <= new.size else ()
    by_proof = highwater.compare(old, new, proof)
    by_leaves = highwater.compare_rebuilt(old, new, leaves[: new.size])
    kinds = {None if finding is None else finding.kind for finding in (by_proof, by_leaves)}
    assert len(kinds) == 1
    return kinds.pop()


def test_a_log_that_grew_or_stood_still_passes() -> None:
    for old in range(20):
        for new in range(old, 20):
            assert both_ways(seen(LEAVES, old), seen(LEAVES, new), LEAVES) is None


def test_a_log_that_shrank_is_named_with_its_first_missing_entry() -> None:
    finding = highwater.compare(seen(LEAVES, 9), seen(LEAVES, 7))
    assert isinstance(finding, Finding)
    assert (finding.kind, finding.index) == (FindingKind.SHRUNK, 7)
    assert both_ways(seen(LEAVES, 9), seen(LEAVES, 0), LEAVES) is FindingKind.SHRUNK


def test_a_log_that_forked_in_its_past_is_named() -> None:
    assert both_ways(seen(LEAVES, 9), seen(FORK, 12), FORK) is FindingKind.FORKED
    assert both_ways(seen(LEAVES, 9), seen(FORK, 9), FORK) is FindingKind.OTHER_ROOT
    assert both_ways(seen(LEAVES, 4), seen(FORK, 12), FORK) is None  # the fork lies behind what was seen


def test_a_log_created_again_under_another_name_is_named() -> None:
    assert both_ways(seen(LEAVES, 9), seen(LEAVES, 9, "demo2"), LEAVES) is FindingKind.OTHER_LOG


def test_growth_without_a_proof_is_a_fork() -> None:
    finding = highwater.compare(seen(LEAVES, 9), seen(LEAVES, 12))
    assert finding is not None
    assert finding.kind is FindingKind.FORKED


def test_leaves_that_are_not_those_of_the_checkpoint_show_nothing() -> None:
    for leaves in (LEAVES[:11], LEAVES[:13], FORK[:12]):
        finding = highwater.compare_rebuilt(seen(LEAVES, 9), seen(LEAVES, 12), leaves)
        assert finding is not None
        assert finding.kind is FindingKind.FORKED


def test_what_was_remembered_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    assert highwater.recall(path) is None
    for size in (3, 9):
        highwater.remember(path, seen(LEAVES, size))
        assert highwater.recall(path) == seen(LEAVES, size)
    assert [file.name for file in tmp_path.iterdir()] == ["seen.json"]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"origin":"o","size":1,"root":"QQ=="}', b"\xff"])
def test_a_damaged_memory_is_not_taken_for_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "seen.json"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="damaged"):
        highwater.recall(path)


def test_says_when_it_cannot_remember(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="cannot write"):
        highwater.remember(tmp_path / "absent" / "seen.json", seen(LEAVES, 3))
    with pytest.raises(IntegrityError, match="cannot read"):
        highwater.recall(tmp_path)
