"""Random changes of an export: whether each is found, and its place named."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from plantops.audit.trust import AuditTrust
from plantops.bench.audit_million import make_export
from plantops.bench.figures import Bench, Figure, Load, Tell, figure
from plantops.bench.ground import temporary_folder
from plantops.flow.checkpoints import key_name, open_checkpoint
from plantops.ledger import tiles, verify
from plantops.ledger.bundles import Examined, Task, examine
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.record import AuditRecord, Trusted, believe
from plantops.ledger.verify import Report
from plantops.runtime.errors import IntegrityError, TrustError

MUTATIONS: Final = 10_000
RECORDS: Final = 300  # two bundles, two level-0 tiles and one above
SEED: Final = 1

Entries: TypeAlias = list[bytes]
Change: TypeAlias = Callable[[Entries, int, random.Random], tuple[Entries, int]]
"""What becomes of the entries of a bundle when it is changed at a position, and where that first shows."""


def dropped(entries: Entries, at: int, _chance: random.Random) -> tuple[Entries, int]:
    return [*entries[:at], *entries[at + 1 :]], at


def duplicated(entries: Entries, at: int, _chance: random.Random) -> tuple[Entries, int]:
    return [*entries[: at + 1], *entries[at:]], at + 1


def inserted(entries: Entries, at: int, chance: random.Random) -> tuple[Entries, int]:
    """Something that was never there."""
    return [*entries[:at], chance.randbytes(len(entries[at])), *entries[at:]], at


def swapped(entries: Entries, at: int, chance: random.Random) -> tuple[Entries, int]:
    other = chance.choice([place for place in range(len(entries)) if place != at])
    changed = list(entries)
    changed[at], changed[other] = entries[other], entries[at]
    return changed, min(at, other)


def reordered(entries: Entries, at: int, chance: random.Random) -> tuple[Entries, int]:
    other = chance.choice([place for place in range(len(entries)) if place != at])
    changed = dropped(entries, at, chance)[0]
    changed.insert(other, entries[at])
    return changed, min(at, other)


def truncated(entries: Entries, at: int, _chance: random.Random) -> tuple[Entries, int]:
    return entries[:at], at


CHANGES: Final[Mapping[str, Change]] = {
    "drop": dropped,
    "duplicate": duplicated,
    "insert": inserted,
    "swap": swapped,
    "reorder": reordered,
    "truncate": truncated,
}


@dataclass(frozen=True, slots=True)
class Mutation:
    """One changed file: its new bytes, and the record where that shows (None: the file is to be named)."""

    kind: str
    path: str
    data: bytes
    index: int | None


class Ground:
    """An export that is changed and mended; signatures that were checked once are not checked again."""

    def __init__(self, folder: Path, trust: AuditTrust) -> None:
        self.folder, self._trust = folder, trust
        self._said: dict[tuple[int, bytes], AuditRecord | Finding] = {}
        self._trusted = trust.trusted
        self.paths = sorted(
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        )

    def verified(self) -> Report:
        """As `verify_folder` does it."""
        signed = tiles.read_file(self.folder / tiles.CHECKPOINT_FILE) or b""
        try:
            found = open_checkpoint(signed, self._trust.site, self._trust.notary_keys)
        except TrustError as error:
            return verify.without_checkpoint(FindingKind.CHECKPOINT_INVALID, error.message)
        return verify.verify_covered(self.folder, found, writers=self._trusted, examiner=self._examined)

    def _examined(self, work: Iterator[Task]) -> Iterator[Examined]:
        return (examine(task, self._read) for task in work)

    def _read(self, index: int, writer: str | None, entry: bytes, trusted: Trusted) -> AuditRecord | Finding:
        said = self._said.get((index, entry))
        if said is None:
            said = believe(index, writer, entry, trusted)
            if len(self._said) < 2 * RECORDS:
                self._said[index, entry] = said
        return said

    def is_located(self, mutation: Mutation) -> bool:
        """Make the change, verify, mend it; whether the right place was named."""
        path = self.folder / mutation.path
        before = path.read_bytes()
        path.write_bytes(mutation.data)
        try:
            report = self.verified()
        finally:
            path.write_bytes(before)
        if mutation.index is not None:
            return report.first_bad_index == mutation.index
        return {finding.path for finding in report.findings} == {mutation.path}


def mutations(ground: Ground, count: int, chance: random.Random) -> Iterator[Mutation]:
    """Half of them single bits anywhere, half of them whole records of a bundle, or ends of other files."""
    bundles = [path for path in ground.paths if path.startswith("tile/entries")]
    for number in range(count):
        path = chance.choice(ground.paths)
        data = (ground.folder / path).read_bytes()
        if number % 2 == 0:
            at = chance.randrange(len(data))
            changed = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
            yield Mutation("flip", path, changed, _entry_at(path, data, at) if path in bundles else None)
        elif path in bundles:
            yield _of_records(path, data, chance)
        else:
            yield Mutation("truncate", path, data[: chance.randrange(len(data))], None)


def _of_records(path: str, data: bytes, chance: random.Random) -> Mutation:
    entries, _rest = tiles.split_bundle(data, tiles.TILE_WIDTH)
    kind = chance.choice(sorted(CHANGES))
    # A copy of the last one, or of one that is pushed out, only makes the file longer: see the flips.
    at = chance.randrange(len(entries) - 1)
    changed, shows = CHANGES[kind](entries, at, chance)
    written = b"".join(len(entry).to_bytes(2, "big") + entry for entry in changed)
    return Mutation(kind, path, written, _first(path) + shows)


def _first(path: str) -> int:
    """The leaf index of a bundle's first entry, for logs of up to 256,000."""
    return int(path.split("/")[2].removesuffix(".p")) * tiles.TILE_WIDTH


def _entry_at(path: str, data: bytes, at: int) -> int:
    entries, _rest = tiles.split_bundle(data, tiles.TILE_WIDTH)
    end = 0
    for place, entry in enumerate(entries):
        end += 2 + len(entry)
        if at < end:
            return _first(path) + place
    raise ValueError(f"byte {at} lies behind the entries of {path}")


def not_located(folder: Path, trust: AuditTrust, count: int, seed: int = SEED) -> list[Mutation]:
    """Of `count` random changes those whose place was not named. Raises: IntegrityError for a bad export."""
    ground = Ground(folder, trust)
    if not ground.verified().ok:
        raise IntegrityError("the export is not good before it is changed", path=str(folder))
    chance = random.Random(seed)  # noqa: S311 - the same changes each time
    return [one for one in mutations(ground, count, chance) if not ground.is_located(one)]


async def run(load: Load, tell: Tell) -> list[Figure]:
    """Change an export, verify, mend it, again and again."""
    count = load.count(MUTATIONS, least=100)
    async with temporary_folder() as folder:
        trust = await asyncio.to_thread(make_export, folder / "export", RECORDS)
        tell(f"{count:,} changes of an export of {RECORDS} records of {key_name(trust.site)}")
        begun = time.perf_counter()
        missed: Sequence[Mutation] = await asyncio.to_thread(not_located, folder / "export", trust, count)
        seconds = time.perf_counter() - begun
    if missed:
        first = missed[0]
        raise IntegrityError(f"{len(missed)} changes not located, first: {first.kind} of {first.path}")
    note = f"flip, drop, duplicate, insert, swap, reorder, truncate in {RECORDS} records, tiles, checkpoint"
    return [
        figure(
            "audit_mutations.located",
            f"random changes located, of {count:,}",
            count - len(missed),
            "changes",
            better="higher",
            goal=count,
            note=note,
        ),
        figure("audit_mutations.rate", "export verified anew", count / seconds, "per s", better="higher"),
    ]


BENCH = Bench("audit_mutations", "Audit: random changes of an export", run)
