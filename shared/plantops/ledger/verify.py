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
from plantops.ledger.bundles import Examined, Examiner, Task, one_by_one, read_tile
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.note import NoteKey
from plantops.ledger.record import RecordChecker, Trusted
from plantops.ledger.tiles import TILE_WIDTH, Tile, TileBuilder
from plantops.ledger.tree import HASH_BYTES
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


def verify_export(
    folder: Path,
    *,
    log_key: NoteKey,
    writers: Trusted | None,
    origin: str = "",
    examiner: Examiner = one_by_one,
) -> Report:
    """Check every file and every record of an export; `origin` is the log's, the key's name when empty.

    Without `writers` the records are covered by the tree and not read: who wrote them is then not asked.

    A change of any kind is found. What cannot be told from files alone: that a shorter log with an older
    valid checkpoint was once longer (see `highwater`), and where a change was made when all tiles were
    rebuilt after it and every record is still good in its writer's chain (two writers' records swapped).

    Raises:
        IntegrityError: a file is there and cannot be read.
    """
    signed = tiles.read_file(folder / tiles.CHECKPOINT_FILE)
    if signed is None:
        return without_checkpoint(FindingKind.CHECKPOINT_MISSING, "the export has no checkpoint")
    try:
        checkpoint = checkpoints.verify(signed, log_key, origin=origin)
    except TrustError as error:
        return without_checkpoint(FindingKind.CHECKPOINT_INVALID, error.message)
    return verify_covered(folder, checkpoint, writers=writers, examiner=examiner)


def verify_covered(
    folder: Path, checkpoint: Checkpoint, *, writers: Trusted | None, examiner: Examiner = one_by_one
) -> Report:
    """As `verify_export`, under a checkpoint that the caller has verified."""
    return _Verification(folder, checkpoint, writers).run(examiner)


def without_checkpoint(kind: FindingKind, detail: str) -> Report:
    """What is left to say where nobody known vouches for anything."""
    finding = Finding(kind, None, "", f"{detail}; nothing else was checked", tiles.CHECKPOINT_FILE)
    return Report(0, b"", b"", 0, (finding,))


class _Verification:
    """One pass over the bundles; `_entries` and `_tiles` build the tree from the one and from the other.

    Where one of the two is missing, the other stands in, so that only contradictions make the two differ.
    """

    def __init__(self, folder: Path, checkpoint: Checkpoint, writers: Trusted | None) -> None:
        self._folder = folder
        self._checkpoint = checkpoint
        self._writers = writers
        self._records = RecordChecker(writers or {})
        self._entries = TileBuilder()
        self._tiles = TileBuilder()
        self._contradictions: list[int] = []
        self._not_as_entries: list[Finding] = []  # upper tiles that do not follow from the entries
        self._not_as_tiles: list[Finding] = []  # upper tiles that do not follow from the level-0 tiles
        self._findings: list[Finding] = []
        self._checked = 0

    def run(self, examiner: Examiner) -> Report:
        size = self._checkpoint.size
        work = (
            Task(self._folder, number, width, self._writers)
            for number, width in tiles.expected_tiles(size, 0)
        )
        for examined in examiner(work):
            self._take(examined)
        for by_entries, by_tiles in zip(self._entries.partial(), self._tiles.partial(), strict=True):
            self._check_upper(by_entries, by_tiles)
        self._blame()
        self._findings.extend(self._unexpected_files())
        ordered = sorted(self._findings, key=lambda finding: -1 if finding.index is None else finding.index)
        return Report(size, self._checkpoint.root, self._entries.root(), self._checked, tuple(ordered))

    def _take(self, examined: Examined) -> None:
        start = examined.number * TILE_WIDTH
        self._findings.extend(examined.findings)
        for index, link in enumerate(examined.links, start):
            self._findings.extend(self._records.place_link(index, None, link))
        self._checked += examined.entries
        if examined.root:
            full, also_full = self._entries.add_tile(examined.root), self._tiles.add_tile(examined.root)
            for one, other in zip(full, also_full, strict=True):
                self._check_upper(one, other)
            return
        for index, (computed, stored) in enumerate(
            zip(examined.by_entry, examined.by_tile, strict=True), start
        ):
            if computed != stored and computed is not None and stored is not None:
                self._contradictions.append(index)
            full = self._entries.add(computed or stored or _UNKNOWN_HASH)
            also_full = self._tiles.add(stored or computed or _UNKNOWN_HASH)
            for one, other in zip(full, also_full, strict=True):
                self._check_upper(one, other)

    def _check_upper(self, by_entries: Tile, by_tiles: Tile) -> None:
        if by_entries.level == 0:
            return
        stored = read_tile(self._folder, by_entries.level, by_entries.number, len(by_entries.hashes))
        if isinstance(stored, Finding):
            self._findings.append(stored)
        else:
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
