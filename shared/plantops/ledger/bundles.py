"""One bundle of an export by itself: entries and tile read, hashed, compared, each record believed or not.

No bundle needs another, so they are examined in any order and in several processes; what is given back is
small, and the order between records is checked by who puts the answers together (`verify`).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

from plantops.ledger import tiles
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.record import AuditRecord, Link, Trusted, believe, linked
from plantops.ledger.tiles import TILE_WIDTH
from plantops.ledger.tree import HASH_BYTES, leaf_hash, perfect_root


class Task(NamedTuple):
    """Which bundle to examine; without `writers` the records are hashed and not read."""

    folder: Path
    number: int
    width: int
    writers: Trusted | None


class Examined(NamedTuple):
    """What one bundle holds. `entries` could be read; `links` has one item for each, none when nobody's
    records were asked for. `root` is that of the whole tile where entries and tile agree, else b"" and the
    leaf hashes stand in `by_entry` and `by_tile` (None: missing).
    """

    number: int
    width: int
    entries: int
    links: tuple[Link | Finding, ...]
    findings: tuple[Finding, ...]
    root: bytes = b""
    by_entry: tuple[bytes | None, ...] = ()
    by_tile: tuple[bytes | None, ...] = ()


Examiner: TypeAlias = Callable[[Iterator[Task]], Iterator[Examined]]
"""Gives what each task found, in the order of the tasks."""

Reader: TypeAlias = Callable[[int, str | None, bytes, Trusted], AuditRecord | Finding]
"""What `record.believe` is, or remembers of what it said."""


def one_by_one(work: Iterator[Task]) -> Iterator[Examined]:
    """The examiner for whoever has one processor."""
    return map(examine, work)


def examine(task: Task, read: Reader = believe) -> Examined:
    """`read` says what a record is. Raises: IntegrityError when a file is there and cannot be read."""
    findings: list[Finding] = []
    entries = _read_bundle(task, findings)
    links = tuple(_links(task, entries, read))
    leaves = [leaf_hash(entry) for entry in entries]
    stored = _read_tile(task, findings)
    number, width = task.number, task.width
    if width == TILE_WIDTH and stored is not None and leaves == list(stored):
        return Examined(number, width, width, links, tuple(findings), perfect_root(leaves))
    missing = (None,) * (width - len(leaves))
    return Examined(
        number,
        width,
        len(entries),
        links,
        tuple(findings),
        by_entry=(*leaves, *missing),
        by_tile=stored if stored is not None else (None,) * width,
    )


def _links(task: Task, entries: list[bytes], read: Reader) -> Iterator[Link | Finding]:
    if task.writers is None:
        return
    for index, entry in enumerate(entries, task.number * TILE_WIDTH):
        yield linked(read(index, None, entry, task.writers), entry)


def _read_bundle(task: Task, findings: list[Finding]) -> list[bytes]:
    width, start = task.width, task.number * TILE_WIDTH
    path = tiles.bundle_path(task.number, width)
    data = tiles.read_file(task.folder / path)
    if data is None:
        detail = f"entries {start} to {start + width - 1} are missing: there is no file {path}"
        findings.append(Finding(FindingKind.ENTRIES_MISSING, start, "", detail, path))
        return []
    entries, rest = tiles.split_bundle(data, width)
    if len(entries) < width:
        index = start + len(entries)
        detail = f"{path} cannot be read from entry {index} on: {width - len(entries)} entries are missing"
        findings.append(Finding(FindingKind.ENTRIES_DAMAGED, index, "", detail, path))
    elif rest:
        detail = f"{path} has {len(rest)} bytes more than its {width} entries"
        findings.append(Finding(FindingKind.ENTRIES_DAMAGED, None, "", detail, path))
    return entries


def _read_tile(task: Task, findings: list[Finding]) -> tuple[bytes, ...] | None:
    found = read_tile(task.folder, 0, task.number, task.width)
    if isinstance(found, Finding):
        findings.append(found)
        return None
    return found


def read_tile(folder: Path, level: int, number: int, width: int) -> tuple[bytes, ...] | Finding:
    """The hashes of a tile, or why they cannot be had. Raises: IntegrityError as `examine`."""
    path = tiles.tile_path(level, number, width)
    data = tiles.read_file(folder / path)
    if data is None:
        return Finding(FindingKind.TILE_MISSING, None, "", f"there is no tile {path}", path)
    hashes = tiles.split_tile(data, width)
    if hashes is None:
        detail = f"tile {path} has {len(data)} bytes where {width} hashes need {width * HASH_BYTES}"
        return Finding(FindingKind.TILE_DAMAGED, None, "", detail, path)
    return hashes
