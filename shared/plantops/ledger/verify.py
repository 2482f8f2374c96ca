"""Offline verification of an export: from its files and the trusted keys alone.

Three things are compared: the entries, the tiles and the signed root. Where entries and tiles disagree, the
signed root tells which of the two was changed; so one change anywhere is blamed on the right place.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from plantops.ledger import checkpoint as checkpoints
from plantops.ledger import tiles
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.note import NoteKey
from plantops.ledger.record import RecordChecker, Trusted
from plantops.ledger.tiles import TILE_WIDTH, Tile, TileBuilder
from plantops.ledger.tree import HASH_BYTES, leaf_hash
from plantops.runtime.errors import TrustError

_UNKNOWN_HASH: Final = bytes(HASH_BYTES)


class Report(msgspec.Struct, frozen=True):
    """What a verification found.

    `size` and `root` are the signed ones (0 and b"" without a valid checkpoint, then nothing else was
    checked); `computed_root` is that of the entries as they are, a missing one counted by its tile; `checked`
    counts the records read. `findings` are in order of their index, those about no single record first.
    """

    size: int
    root: bytes
    computed_root: bytes
    checked: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def first_bad_index(self) -> int | None:
        """Lowest leaf index that a finding names."""
        return min((finding.index for finding in self.findings if finding.index is not None), default=None)


def verify_export(folder: Path, *, log_key: NoteKey, writers: Trusted, origin: str = "") -> Report:
    """Check every file and every record of an export; `origin` is the log's, the key's name when empty.

    A change of any kind is found. What cannot be told from files alone: that a shorter log with an older
    valid checkpoint was once longer (see `highwater`), and where a change was made when all tiles were
    rebuilt after it and every record is still good in its writer's chain (two writers' records swapped).

    Raises:
        IntegrityError: a file is there and cannot be read.
    """
    signed = tiles.read_file(folder / tiles.CHECKPOINT_FILE)
    if signed is None:
        return _without_checkpoint(FindingKind.CHECKPOINT_MISSING, "the export has no checkpoint")
    try:
        checkpoint = checkpoints.verify(signed, log_key, origin=origin)
    except TrustError as error:
        return _without_checkpoint(FindingKind.CHECKPOINT_INVALID, error.message)
    return _Verification(folder, checkpoint, writers).run()


def _without_checkpoint(kind: FindingKind, detail: str) -> Report:
    finding = Finding(kind, None, "", f"{detail}; nothing else was checked", tiles.CHECKPOINT_FILE)
    return Report(0, b"", b"", 0, (finding,))


class _Verification:
    """One pass over the bundles; `_entries` and `_tiles` build the tree from the one and from the other.

    Where one of the two is missing, the other stands in, so that only contradictions make the two differ.
    """

    def __init__(self, folder: Path, checkpoint: Checkpoint, writers: Trusted) -> None:
        self._folder = folder
        self._checkpoint = checkpoint
        self._records = RecordChecker(writers)
        self._entries = TileBuilder()
        self._tiles = TileBuilder()
        self._contradictions: list[int] = []
        self._not_as_entries: list[Finding] = []  # upper tiles that do not follow from the entries
        self._not_as_tiles: list[Finding] = []  # upper tiles that do not follow from the level-0 tiles
        self._findings: list[Finding] = []
        self._checked = 0

    def run(self) -> Report:
        size = self._checkpoint.size
        for number, width in tiles.expected_tiles(size, 0):
            self._check_bundle(number, width)
        for by_entries, by_tiles in zip(self._entries.partial(), self._tiles.partial(), strict=True):
            self._check_upper(by_entries, by_tiles)
        self._blame()
        self._findings.extend(self._unexpected_files())
        ordered = sorted(self._findings, key=lambda finding: -1 if finding.index is None else finding.index)
        return Report(size, self._checkpoint.root, self._entries.root(), self._checked, tuple(ordered))

    def _check_bundle(self, number: int, width: int) -> None:
        start = number * TILE_WIDTH
        entries = self._read_bundle(number, width)
        for index, entry in enumerate(entries, start):
            self._findings.extend(self._records.check(index, None, entry))
        self._checked += len(entries)
        by_entry: list[bytes | None] = [leaf_hash(entry) for entry in entries]
        by_entry.extend([None] * (width - len(entries)))
        by_tile = self._read_tile(0, number, width) or (None,) * width
        for index, (computed, stored) in enumerate(zip(by_entry, by_tile, strict=True), start):
            if computed != stored and computed is not None and stored is not None:
                self._contradictions.append(index)
            full = self._entries.add(computed or stored or _UNKNOWN_HASH)
            also_full = self._tiles.add(stored or computed or _UNKNOWN_HASH)
            for one, other in zip(full, also_full, strict=True):
                self._check_upper(one, other)

    def _read_bundle(self, number: int, width: int) -> list[bytes]:
        path, start = tiles.bundle_path(number, width), number * TILE_WIDTH
        data = tiles.read_file(self._folder / path)
        if data is None:
            detail = f"entries {start} to {start + width - 1} are missing: there is no file {path}"
            self._findings.append(Finding(FindingKind.ENTRIES_MISSING, start, "", detail, path))
            return []
        entries, rest = tiles.split_bundle(data, width)
        if len(entries) < width:
            index = start + len(entries)
            detail = (
                f"{path} cannot be read from entry {index} on: {width - len(entries)} entries are missing"
            )
            self._findings.append(Finding(FindingKind.ENTRIES_DAMAGED, index, "", detail, path))
        elif rest:
            detail = f"{path} has {len(rest)} bytes more than its {width} entries"
            self._findings.append(Finding(FindingKind.ENTRIES_DAMAGED, None, "", detail, path))
        return entries

    def _read_tile(self, level: int, number: int, width: int) -> tuple[bytes, ...] | None:
        path = tiles.tile_path(level, number, width)
        data = tiles.read_file(self._folder / path)
        if data is None:
            self._findings.append(
                Finding(FindingKind.TILE_MISSING, None, "", f"there is no tile {path}", path)
            )
            return None
        hashes = tiles.split_tile(data, width)
        if hashes is None:
            detail = f"tile {path} has {len(data)} bytes where {width} hashes need {width * HASH_BYTES}"
            self._findings.append(Finding(FindingKind.TILE_DAMAGED, None, "", detail, path))
        return hashes

    def _check_upper(self, by_entries: Tile, by_tiles: Tile) -> None:
        if by_entries.level == 0:
            return
        stored = self._read_tile(by_entries.level, by_entries.number, len(by_entries.hashes))
        if stored is not None:
            self._not_as_entries.extend(_tile_mismatch(by_entries, stored))
            self._not_as_tiles.extend(_tile_mismatch(by_tiles, stored))

    def _blame(self) -> None:
        signed = self._checkpoint.root
        if self._tiles.root() == signed:
            self._findings.extend(self._not_as_tiles)
            self._findings.extend(_entry_mismatch(index, "the tiles agree") for index in self._contradictions)
        elif self._entries.root() == signed:
            self._findings.extend(self._not_as_entries)
            self._findings.extend(_leaf_mismatch(self._contradictions, self._checkpoint.size))
        else:
            detail = f"the {self._checkpoint.size} entries do not give the signed root: the log was rewritten"
            self._findings.append(Finding(FindingKind.ROOT_MISMATCH, None, "", detail, tiles.CHECKPOINT_FILE))
            self._findings.extend(self._not_as_entries)
            self._findings.extend(_entry_mismatch(index, "nothing agrees") for index in self._contradictions)

    def _unexpected_files(self) -> Iterator[Finding]:
        expected = {tiles.CHECKPOINT_FILE, *tiles.expected_paths(self._checkpoint.size)}
        for path in sorted((self._folder / "tile").rglob("*")):
            relative = path.relative_to(self._folder).as_posix()
            if not path.is_dir() and relative not in expected:
                detail = f"{relative} has no place in a log of {self._checkpoint.size} entries"
                yield Finding(FindingKind.UNEXPECTED_FILE, None, "", detail, relative)


def _entry_mismatch(index: int, witness: str) -> Finding:
    detail = f"entry {index} is not the one that its tile covers ({witness} with the signed root)"
    return Finding(FindingKind.ENTRY_MISMATCH, index, "", detail)


def _leaf_mismatch(indices: list[int], size: int) -> Iterator[Finding]:
    """One finding for each level-0 tile; the entries are proved good, so no record is named."""
    first_of_tile: dict[int, int] = {}
    for index in indices:
        first_of_tile.setdefault(index // TILE_WIDTH, index)
    for number, index in first_of_tile.items():
        path = tiles.tile_path(0, number, min(TILE_WIDTH, size - number * TILE_WIDTH))
        detail = f"tile {path} was changed from hash {index % TILE_WIDTH} on; the entries are as signed"
        yield Finding(FindingKind.TILE_MISMATCH, None, "", detail, path)


def _tile_mismatch(computed: Tile, stored: tuple[bytes, ...]) -> Iterator[Finding]:
    for position, (expected, found) in enumerate(zip(computed.hashes, stored, strict=True)):
        if expected != found:
            detail = f"tile {computed.path} does not follow from the level below at hash {position}"
            yield Finding(FindingKind.TILE_MISMATCH, None, "", detail, computed.path)
            return
