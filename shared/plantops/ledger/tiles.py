"""A log as static files (C2SP tlog-tiles): `checkpoint`, `tile/<level>/<number>`, `tile/entries/<number>`.

A tile holds up to 256 hashes of one level, a bundle the entries of a level-0 tile. Only the last of each
level may be partial, under `<number>.p/<width>`. Memory is one bundle and one tile per level.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from plantops.ledger.tree import HASH_BYTES, Tree, leaf_hash, perfect_root
from plantops.runtime.errors import IntegrityError, SettingsError

TILE_WIDTH: Final = 256  # tlog-tiles, "Merkle Tree": tiles are of height 8
MAX_ENTRY_BYTES: Final = 2**16 - 1  # tlog-tiles, "Log entries": a big-endian uint16 length
CHECKPOINT_FILE: Final = "checkpoint"
ENTRIES: Final = -1
_LENGTH_BYTES: Final = 2
_MAX_LEVEL: Final = 5  # tlog-tiles, "Merkle Tree": 0 to 5, since a log has at most 2^48 entries here
_PATH: Final = re.compile(r"tile/(entries|\d)/((?:x\d{3}/){0,4}\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)


class TileAddress(NamedTuple):
    """Which file is meant: a tile of hashes, or at level -1 (`ENTRIES`) the bundle of a level-0 tile."""

    level: int
    number: int
    width: int

    @property
    def path(self) -> str:
        if self.level == ENTRIES:
            return bundle_path(self.number, self.width)
        return tile_path(self.level, self.number, self.width)

    def lies_in(self, size: int) -> bool:
        """Whether a log of this size has all of it."""
        span: int = TILE_WIDTH ** max(self.level, 0)
        return (self.number * TILE_WIDTH + self.width) * span <= size


class Tile(NamedTuple):
    """Up to 256 hashes of one level, from hash 256 * `number` of that level on."""

    level: int
    number: int
    hashes: tuple[bytes, ...]

    @property
    def path(self) -> str:
        return tile_path(self.level, self.number, len(self.hashes))


class TileBuilder:
    """Turns leaf hashes into tiles of all levels, each given out as soon as it is full."""

    def __init__(self) -> None:
        self._size = 0
        self._pending: list[list[bytes]] = [[]]  # by level

    def add(self, leaf: bytes) -> tuple[Tile, ...]:
        """Append a leaf hash; gives the tiles that it fills, lowest level first."""
        self._size += 1
        self._pending[0].append(leaf)
        return () if len(self._pending[0]) < TILE_WIDTH else tuple(self._full(0))

    def add_tile(self, root: bytes) -> tuple[Tile, ...]:
        """Append a whole level-0 tile by its root alone; gives the tiles above it that it fills.

        Raises:
            ValueError: a tile has been begun.
        """
        if self._pending[0]:
            raise ValueError(f"leaf {self._size} stands in the middle of a tile")
        self._size += TILE_WIDTH
        self._lift(0, root)
        return tuple(self._full(1))

    def _full(self, level: int) -> Iterator[Tile]:
        while len(self._pending[level]) == TILE_WIDTH:
            hashes, self._pending[level] = tuple(self._pending[level]), []
            self._lift(level, perfect_root(hashes))
            yield Tile(level, (self._size >> (8 * (level + 1))) - 1, hashes)
            level += 1

    def _lift(self, level: int, root: bytes) -> None:
        if level + 1 == len(self._pending):
            self._pending.append([])
        self._pending[level + 1].append(root)

    def partial(self) -> Iterator[Tile]:
        """Give the partial tiles at the end of the log, lowest level first."""
        for level, hashes in enumerate(self._pending):
            if hashes:
                yield Tile(level, self._size >> (8 * (level + 1)), tuple(hashes))

    def root(self) -> bytes:
        peaks = b"".join(Tree(hashes).dump()[8:] for hashes in reversed(self._pending))
        return Tree.load(self._size.to_bytes(8, "big") + peaks).root()


class Written(NamedTuple):
    """What an export came to; compare it with the checkpoint that was exported."""

    size: int
    root: bytes


def tile_path(level: int, number: int, width: int = TILE_WIDTH) -> str:
    return f"tile/{level}/{_numbered(number, width)}"


def bundle_path(number: int, width: int = TILE_WIDTH) -> str:
    return f"tile/entries/{_numbered(number, width)}"


def parse_path(path: str) -> TileAddress:
    """What a path of this format means, written as it writes it and no otherwise.

    Raises: ValueError when it is no such path.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        raise ValueError(f"{path!r} is no path of a tile, such as tile/0/000 or tile/entries/x001/067.p/12")
    level = ENTRIES if found[1] == "entries" else int(found[1])
    number = int(found[2].replace("x", "").replace("/", ""))
    address = TileAddress(level, number, int(found[3] or TILE_WIDTH))
    if level > _MAX_LEVEL or address.path != path:
        raise ValueError(f"{path!r} is not how tlog-tiles writes a path")
    return address


def expected_tiles(size: int, level: int) -> Iterator[tuple[int, int]]:
    """Give (number, width) of each tile that a log of this size has at this level; bundles are as level 0."""
    full, rest = divmod(size >> (8 * level), TILE_WIDTH)
    for number in range(full):
        yield number, TILE_WIDTH
    if rest:
        yield full, rest


def expected_paths(size: int) -> Iterator[str]:
    """Give the path of each file that a log of this size has, without the checkpoint."""
    level = 0
    while size >> (8 * level):
        for number, width in expected_tiles(size, level):
            yield tile_path(level, number, width)
            if level == 0:
                yield bundle_path(number, width)
        level += 1


def write_tiles(folder: Path, entries: Iterable[bytes], checkpoint: bytes) -> Written:
    """Write a whole log into a new folder, the checkpoint last, and give size and root of what was written.

    The checkpoint is not judged here: a damaged log must be exportable too, as evidence.

    Raises:
        SettingsError: the folder exists and is not empty.
        IntegrityError: an entry is larger than the format allows.
    """
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(f"{folder} is not empty: export into a new folder", setting="folder")
    builder, bundle, size = TileBuilder(), bytearray(), 0
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise IntegrityError(
                f"entry {size} has {len(entry)} bytes, an export holds at most {MAX_ENTRY_BYTES}"
            )
        bundle += len(entry).to_bytes(_LENGTH_BYTES, "big") + entry
        size += 1
        for tile in builder.add(leaf_hash(entry)):
            _write_tile(folder, tile)
        if size % TILE_WIDTH == 0:
            _write(folder / bundle_path(size // TILE_WIDTH - 1), bundle)
            bundle = bytearray()
    for tile in builder.partial():
        _write_tile(folder, tile)
    if bundle:
        _write(folder / bundle_path(size // TILE_WIDTH, size % TILE_WIDTH), bundle)
    _write(folder / CHECKPOINT_FILE, checkpoint)
    return Written(size, builder.root())


def read_entries(folder: Path, size: int) -> Iterator[bytes]:
    """Give the first `size` entries in order; believe them when `read_root` gives the signed root.

    Raises:
        IntegrityError: a bundle is missing or is not made of the expected number of entries.
    """
    for number, width in expected_tiles(size, 0):
        path = folder / bundle_path(number, width)
        data = read_file(path)
        if data is None:
            raise IntegrityError(
                f"{path} is missing: export again, or fetch it from a mirror", path=str(path)
            )
        entries, rest = split_bundle(data, width)
        if len(entries) < width or rest:
            raise IntegrityError(f"{path} is damaged after {len(entries)} of {width} entries", path=str(path))
        yield from entries


def read_root(folder: Path, size: int) -> bytes:
    """Compute the root of the first `size` entries from the entries alone; raises as `read_entries`."""
    return Tree(leaf_hash(entry) for entry in read_entries(folder, size)).root()


def split_bundle(data: bytes, width: int) -> tuple[list[bytes], bytes]:
    """Cut a bundle into at most `width` entries and the bytes that are left, b"" when it is whole."""
    entries: list[bytes] = []
    at = 0
    while len(entries) < width and at + _LENGTH_BYTES <= len(data):
        start = at + _LENGTH_BYTES
        end = start + int.from_bytes(data[at:start], "big")
        if end > len(data):
            break
        entries.append(data[start:end])
        at = end
    return entries, data[at:]


def split_tile(data: bytes, width: int) -> tuple[bytes, ...] | None:
    """Cut a tile into its hashes; None when it has not just `width` of them."""
    if len(data) != width * HASH_BYTES:
        return None
    return tuple(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES))


def read_file(path: Path) -> bytes | None:
    """Give the bytes of a file, None when there is no such file.

    Raises:
        IntegrityError: it is there and cannot be read.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise IntegrityError(f"cannot read {path}: {error.strerror}", path=str(path)) from error


def _numbered(number: int, width: int) -> str:
    """Write 1234067 as x001/x234/067 (tlog-tiles, "Merkle Tree"), with .p/<width> when partial."""
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    path = "/".join(reversed(groups))
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def _write_tile(folder: Path, tile: Tile) -> None:
    _write(folder / tile.path, b"".join(tile.hashes))


def _write(path: Path, data: bytes | bytearray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
