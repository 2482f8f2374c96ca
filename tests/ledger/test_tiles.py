from pathlib import Path

import pytest

from plantops.ledger import tiles
from plantops.ledger.tree import EMPTY_ROOT, Tree, leaf_hash
from plantops.runtime.errors import IntegrityError, SettingsError


def entries(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


def root_of(count: int) -> bytes:
    return Tree(map(leaf_hash, entries(count))).root()


@pytest.mark.parametrize(
    ("number", "width", "path"),
    [
        (0, 256, "tile/0/000"),
        (999, 256, "tile/0/999"),
        (1000, 256, "tile/0/x001/000"),
        (1234067, 256, "tile/0/x001/x234/067"),
        (273, 112, "tile/0/273.p/112"),
        (1234067, 1, "tile/0/x001/x234/067.p/1"),
    ],
)
def test_writes_numbers_as_the_specification_says(number: int, width: int, path: str) -> None:
    assert tiles.tile_path(0, number, width) == path
    assert tiles.bundle_path(number, width) == path.replace("tile/0", "tile/entries")


def test_a_log_of_70000_entries_has_the_files_of_the_specification() -> None:
    # The example of tlog-tiles: 273 full tiles and one of 112 at level 0, 1 and one of 17 above, then 1 hash.
    paths = list(tiles.expected_paths(70_000))
    assert len([path for path in paths if path.startswith("tile/0/")]) == 274
    assert [path for path in paths if path.startswith(("tile/1/", "tile/2/"))] == [
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert "tile/0/273.p/112" in paths
    assert "tile/entries/273.p/112" in paths


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 700, 65_536 + 300])
def test_what_was_written_is_read_back_and_gives_the_same_root(tmp_path: Path, size: int) -> None:
    written = tiles.write_tiles(tmp_path / "export", iter(entries(size)), b"signed")
    assert written == (size, root_of(size))
    assert (tmp_path / "export" / "checkpoint").read_bytes() == b"signed"
    assert list(tiles.read_entries(tmp_path / "export", size)) == entries(size)
    assert tiles.read_root(tmp_path / "export", size) == root_of(size)
    files = {p.relative_to(tmp_path / "export").as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {"checkpoint", *tiles.expected_paths(size)}


def test_a_tile_holds_the_hashes_of_its_level(tmp_path: Path) -> None:
    tiles.write_tiles(tmp_path, entries(600), b"")
    leaves = [leaf_hash(entry) for entry in entries(600)]
    assert (tmp_path / "tile/0/001").read_bytes() == b"".join(leaves[256:512])
    assert (tmp_path / "tile/0/002.p/88").read_bytes() == b"".join(leaves[512:])
    assert (tmp_path / "tile/1/000.p/2").read_bytes() == Tree(leaves[:256]).root() + Tree(
        leaves[256:512]
    ).root()


def test_an_empty_log_is_a_checkpoint_alone(tmp_path: Path) -> None:
    assert tiles.write_tiles(tmp_path, [], b"signed") == (0, EMPTY_ROOT)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_entries_of_any_allowed_length_are_kept(tmp_path: Path) -> None:
    odd = [b"", b"x" * tiles.MAX_ENTRY_BYTES, b"\x00\x00"]
    tiles.write_tiles(tmp_path, odd, b"")
    assert list(tiles.read_entries(tmp_path, 3)) == odd
    with pytest.raises(IntegrityError, match="entry 1 has"):
        tiles.write_tiles(tmp_path / "new", [b"", b"x" * (tiles.MAX_ENTRY_BYTES + 1)], b"")


def test_never_writes_into_a_folder_that_is_in_use(tmp_path: Path) -> None:
    tiles.write_tiles(tmp_path, entries(3), b"")
    with pytest.raises(SettingsError, match="not empty"):
        tiles.write_tiles(tmp_path, entries(3), b"")


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"\xff" + data[1:]]
)
def test_never_reads_a_damaged_bundle_as_entries(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]  # table
    tiles.write_tiles(tmp_path, entries(3), b"")
    bundle = tmp_path / tiles.bundle_path(0, 3)
    bundle.write_bytes(damage(bundle.read_bytes()))
    with pytest.raises(IntegrityError, match="damaged"):
        list(tiles.read_entries(tmp_path, 3))
    bundle.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        list(tiles.read_entries(tmp_path, 3))
