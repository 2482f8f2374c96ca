"""Whether the Parquet files are those of which the manifests tell, and the manifests those of the audit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from plantops.archive.durable import sha256_of
from plantops.archive.export_manifest import MANIFEST, README, ExportManifest, TableFile
from plantops.archive.manifest import FOLDER, File, Stored, numbers, read_manifest
from plantops.runtime.errors import IntegrityError

FindingKind: TypeAlias = Literal[
    "changed", "missing", "extra", "repeated", "damaged", "unaudited", "forked", "broken_chain"
]
"""changed, missing: a file. extra: no manifest names it. repeated: two name it. damaged: a manifest that
cannot be read. unaudited: AUDIT does not know a manifest. forked: AUDIT has another digest under its number.
broken_chain: a manifest does not follow the one before it."""

Progress: TypeAlias = Callable[[int, int], None]
"""Bytes that were read, of how many."""


@dataclass(frozen=True, slots=True)
class ManifestFinding:
    """`path` is below the parquet folder."""

    kind: FindingKind
    path: str
    detail: str


@dataclass
class _Check:
    folder: Path
    audited: dict[int, set[str]] | None
    progress: Progress | None
    total: int = 0
    done: int = 0
    named: set[str] = field(default_factory=set)

    def findings(self) -> Iterator[ManifestFinding]:
        known = numbers(self.folder)
        yield from self._lost(known)
        before: Stored | None = None
        for number in known:
            place = f"{FOLDER}/{number:08d}.json"
            try:
                stored = read_manifest(self.folder, number)
            except IntegrityError as error:
                yield ManifestFinding("damaged", place, error.message)
                before = None
                continue
            yield from self._chained(place, stored, before, is_first=number == known[0])
            yield from self._told(place, stored)
            for file in stored.manifest.files:
                yield from self._file(file)
            before = stored
        for path in sorted(self.folder.rglob("*.parquet")):
            name = str(path.relative_to(self.folder))
            if name not in self.named:
                yield ManifestFinding("extra", name, "no manifest names it: it may wait for the next one")

    def _lost(self, known: Iterable[int]) -> Iterator[ManifestFinding]:
        expected = set(self.audited or ()) | set(range(1, max(known, default=0) + 1))
        for number in sorted(expected - set(known)):
            yield ManifestFinding("missing", f"{FOLDER}/{number:08d}.json", "the manifest is not there")

    def _chained(
        self, place: str, stored: Stored, before: Stored | None, *, is_first: bool
    ) -> Iterator[ManifestFinding]:
        number, previous = stored.manifest.number, stored.manifest.previous
        if before is None:
            if is_first and number == 1 and previous:
                yield ManifestFinding("broken_chain", place, "the first manifest names one before it")
        elif before.manifest.number == number - 1 and previous != before.digest:
            yield ManifestFinding(
                "broken_chain", place, f"manifest {number - 1} is not the one that it names"
            )

    def _told(self, place: str, stored: Stored) -> Iterator[ManifestFinding]:
        if self.audited is None:
            return
        told = self.audited.get(stored.manifest.number, set())
        if stored.digest not in told:
            kind: FindingKind = "forked" if told else "unaudited"
            text = f"AUDIT has {', '.join(sorted(told))} for it" if told else "AUDIT does not know it"
            yield ManifestFinding(kind, place, f"{text}; its digest is {stored.digest}")

    def _file(self, file: File) -> Iterator[ManifestFinding]:
        if file.path in self.named:
            yield ManifestFinding("repeated", file.path, "two manifests name it")
            return
        self.named.add(file.path)
        yield from self.compared(file)

    def compared(self, file: File | TableFile) -> Iterator[ManifestFinding]:
        """A file with what was said of it."""
        path = self.folder / file.path
        if not path.is_file():
            yield ManifestFinding("missing", file.path, f"{file.rows} rows of {file.table} are not there")
            return
        size, digest = sha256_of(path, self._read)
        if (size, digest) != (file.bytes, file.sha256):
            detail = f"{size} bytes with SHA-256 {digest}, it was {file.bytes} with {file.sha256}"
            yield ManifestFinding("changed", file.path, detail)

    def _read(self, length: int) -> None:
        self.done += length
        if self.progress is not None:
            self.progress(self.done, max(self.total, self.done))


def verify_manifests(
    folder: Path, audited: Iterable[tuple[int, str]] | None, *, progress: Progress | None = None
) -> Iterator[ManifestFinding]:
    """Every finding on the files below `folder`, as they are found; none: all is as it was written.

    `audited` are numbers and digests from AUDIT; None leaves that out. A file is read in pieces; what stays
    in memory is one manifest and the names of the files.
    """
    told: dict[int, set[str]] | None = None
    if audited is not None:
        told = {}
        for number, digest in audited:
            told.setdefault(number, set()).add(digest)
    total = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    return _Check(folder, told, progress, total).findings()


def verify_export(
    folder: Path, exported: ExportManifest, *, progress: Progress | None = None
) -> Iterator[ManifestFinding]:
    """Every file of an export that is missing, was changed, or is not of it."""
    named: set[str] = {MANIFEST, README}
    every: list[File | TableFile] = [*exported.files, *exported.tables]
    check = _Check(folder, None, progress, sum(file.bytes for file in every))
    for file in every:
        yield from check.compared(file)
        named.add(file.path)
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        name = str(path.relative_to(folder))
        if name not in named:
            yield ManifestFinding("extra", name, f"{MANIFEST} does not name it")
