"""Proofs and tiles of a long log from the roots of its full level-0 tiles: 32 bytes for 256 records.

What else is needed are the leaf hashes of one or two tiles, which whoever asks reads again.
"""

from collections.abc import Callable, Iterator, Sequence

from plantops.ledger.tiles import TILE_WIDTH, TileAddress
from plantops.ledger.tree import Tree, inclusion_proof, perfect_root

Leaves = Callable[[int], Sequence[bytes]]
"""The leaf hashes of a level-0 tile by its number, all that the log has of it."""


def tiles_needed(size: int, index: int | None = None) -> frozenset[int]:
    """The level-0 tiles whose leaves it takes to prove leaf `index` in a log of `size`, or (None) to tell its
    root."""
    full, rest = divmod(size, TILE_WIDTH)
    return frozenset(
        tile
        for tile in (None if index is None else index // TILE_WIDTH, full if rest else None)
        if tile is not None
    )


def root_by_tiles(size: int, roots: Sequence[bytes], leaves: Leaves) -> bytes:
    """The root over the first `size` leaves; `roots` are those of the full level-0 tiles."""
    return Tree(_nodes(size, roots, leaves)).root()


def inclusion_by_tiles(index: int, size: int, roots: Sequence[bytes], leaves: Leaves) -> tuple[bytes, ...]:
    """As `tree.inclusion_proof`.

    The tree splits at powers of two (RFC 9162, 2.1.1), so each level-0 tile is a subtree, the last one too.

    Raises: ValueError when there is no such leaf, or fewer roots than full tiles.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in the first {size} leaves")
    nodes = _nodes(size, roots, leaves)
    tile, place = divmod(index, TILE_WIDTH)
    width = min(TILE_WIDTH, size - tile * TILE_WIDTH)
    within = inclusion_proof(leaves(tile)[:width], place, width)
    return within + inclusion_proof(nodes, tile, len(nodes))


def hashes_of(tile: TileAddress, roots: Sequence[bytes]) -> tuple[bytes, ...]:
    """The hashes of a tile above level 0. Raises: ValueError when `roots` do not reach so far."""
    span = TILE_WIDTH ** (tile.level - 1)
    first = tile.number * TILE_WIDTH * span
    wanted = roots[first : first + tile.width * span]
    if len(wanted) < tile.width * span:
        raise ValueError(f"{tile.path} lies behind the last of {len(roots)} full tiles")
    return tuple(_perfect(wanted, span))


def _perfect(hashes: Sequence[bytes], span: int) -> Iterator[bytes]:
    for at in range(0, len(hashes), span):
        yield perfect_root(hashes[at : at + span])


def _nodes(size: int, roots: Sequence[bytes], leaves: Leaves) -> list[bytes]:
    full, rest = divmod(size, TILE_WIDTH)
    if len(roots) < full:
        raise ValueError(f"{len(roots)} roots are known of the {full} full tiles below {size} leaves")
    nodes = list(roots[:full])
    if rest:
        found = leaves(full)[:rest]
        if len(found) < rest:
            raise ValueError(f"tile {full} has {len(found)} leaves, {rest} are needed")
        nodes.append(Tree(found).root())
    return nodes
