import pytest

from plantops.ledger import tiles
from plantops.ledger.proving import hashes_of, inclusion_by_tiles, root_by_tiles, tiles_needed
from plantops.ledger.tiles import ENTRIES, TileAddress, TileBuilder, parse_path
from plantops.ledger.tree import Tree, inclusion_proof, leaf_hash, perfect_root, verify_inclusion

LEAVES = [leaf_hash(b"%d" % number) for number in range(1500)]
ROOTS = [perfect_root(LEAVES[at : at + 256]) for at in range(0, 1280, 256)]
SIZES = (1, 2, 255, 256, 257, 511, 512, 513, 768, 1000, 1024, 1025, 1279, 1280, 1281, 1500)


def tile(number: int) -> list[bytes]:
    return LEAVES[256 * number : 256 * (number + 1)]


@pytest.mark.parametrize("size", SIZES)
def test_a_proof_from_the_roots_of_tiles_is_the_one_from_all_leaves(size: int) -> None:
    root = Tree(LEAVES[:size]).root()
    assert root_by_tiles(size, ROOTS, tile) == root
    for index in {0, 1, 254, 255, 256, 300, size // 2, size - 1}:
        if index < size:
            proof = inclusion_by_tiles(index, size, ROOTS, tile)
            assert proof == inclusion_proof(LEAVES, index, size)
            assert verify_inclusion(LEAVES[index], index, size, root, proof)


@pytest.mark.parametrize("size", SIZES)
def test_needs_the_leaves_of_no_tile_but_the_named_ones(size: int) -> None:
    for index in (0, size - 1):
        needed = tiles_needed(size, index)
        assert len(needed) <= 2
        known = {number: tile(number) for number in needed}
        proof = inclusion_by_tiles(index, size, ROOTS, known.__getitem__)
        assert proof == inclusion_proof(LEAVES, index, size)


def test_refuses_a_leaf_that_is_not_there_and_roots_that_do_not_reach() -> None:
    with pytest.raises(ValueError, match="no leaf 10 in the first 10"):
        inclusion_by_tiles(10, 10, ROOTS, tile)
    with pytest.raises(ValueError, match="1 roots are known of the 5 full tiles"):
        inclusion_by_tiles(3, 1300, ROOTS[:1], tile)
    with pytest.raises(ValueError, match="has 0 leaves, 1 are needed"):
        root_by_tiles(257, ROOTS, lambda _number: [])


def test_tiles_above_level_0_are_those_that_an_export_writes() -> None:
    builder = TileBuilder()
    roots = [bytes([number % 256]) * 32 for number in range(256 * 256 + 512)]
    full = [one for root in roots for one in builder.add_tile(root)]
    for wanted in (*full, *builder.partial()):
        address = TileAddress(wanted.level, wanted.number, len(wanted.hashes))
        if address.level >= 1:
            assert hashes_of(address, roots) == wanted.hashes
    with pytest.raises(ValueError, match="lies behind the last of 3 full tiles"):
        hashes_of(TileAddress(1, 0, 4), roots[:3])


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("tile/0/000", TileAddress(0, 0, 256)),
        ("tile/1/x001/067.p/12", TileAddress(1, 1067, 12)),
        ("tile/entries/x001/x234/067", TileAddress(ENTRIES, 1234067, 256)),
        ("tile/entries/273.p/112", TileAddress(ENTRIES, 273, 112)),
    ],
)
def test_reads_the_paths_that_it_writes(path: str, address: TileAddress) -> None:
    assert parse_path(path) == address
    assert address.path == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/0/x000/001",
        "tile/6/000",
        "tile/0/001.p/256",
        "tile/0/001.p/0",
        "tile/0/001.p/012",
        "tile/0/../../etc/passwd",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/\u0660\u0660\u0661",
        "tile/entries/" + "x999/" * 9 + "000",
    ],
)
def test_refuses_every_other_path(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(path)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65536, 65537, 70000])
def test_a_tile_lies_in_the_logs_that_have_it(size: int) -> None:
    for path in tiles.expected_paths(size):
        assert parse_path(path).lies_in(size)
    for path in set(tiles.expected_paths(size)) - set(tiles.expected_paths(size - 1)):
        assert not parse_path(path).lies_in(size - 1)
