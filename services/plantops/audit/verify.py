"""Verifying the audit: online from the broker, or offline from an export. Both name the first bad record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from plantops.audit.signatures import Believer, writer_on
from plantops.audit.trust import AuditTrust
from plantops.events.base import from_nanoseconds
from plantops.events.subjects import checkpoint as checkpoint_subject
from plantops.flow.bus import Bus, Stored
from plantops.flow.checkpoints import STREAM, open_checkpoint, read_noted
from plantops.flow.cosigned import disputes, newest_note
from plantops.ledger import highwater
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.keys import VerifyKey
from plantops.ledger.record import RecordChecker, Trusted
from plantops.ledger.tree import EMPTY_ROOT, Tree, leaf_hash
from plantops.ledger.witnesses import NOBODY, WitnessPolicy
from plantops.runtime.errors import IntegrityError, TrustError

Progress: TypeAlias = Callable[[int, int], None]
"""Records done, and how many there are."""

MAX_CHECKPOINTS: Final = 5_000
UNCOVERED_SECONDS: Final = 60.0
_PAGE: Final = 2048
_MISSING: Final = leaf_hash(b"")


class OnlineReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `covered` of `size` records lie under the last checkpoint, whose log is `origin`;
    `checkpoints` roots were compared. `remembered` is the size seen at an earlier verification, None at
    the first, which therefore cannot notice that the whole log was made anew before.
    """

    site: str
    origin: str
    size: int
    covered: int
    root: str
    checkpoints: int
    remembered: int | None
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def uncovered(self) -> int:
        """Records that no checkpoint covers yet; the newest always are for a moment."""
        return max(0, self.size - self.covered)

    @property
    def first_bad(self) -> Finding | None:
        """The finding about a record with the lowest index, else the first one."""
        named = [finding for finding in self.findings if finding.index is not None]
        return (
            min(named, key=lambda finding: finding.index or 0) if named else next(iter(self.findings), None)
        )


async def verify_online(
    bus: Bus,
    trust: AuditTrust,
    *,
    remembered: Path | None = None,
    archived: Checkpoint | None = None,
    witnesses: WitnessPolicy | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> OnlineReport:
    """Read and check the whole of AUDIT and its checkpoints; `remembered` is the high-water file.

    The log must extend `archived`, a verified checkpoint from elsewhere, too. `witnesses` (default: those of
    `trust`) must have cosigned its newest checkpoint; what a witness disputes is a finding in any case.

    At most 5,000 checkpoints are compared: all, or the last and an even choice of the others. The file is
    written anew only when nothing is wrong with the log as a whole. Raises: BrokerError, SettingsError;
    IntegrityError when the high-water file is damaged.
    """
    work = _Online(bus, trust, now or datetime.now(UTC), progress or _silent)
    await work.ask_witnesses(witnesses if witnesses is not None else trust.witness_policy)
    return await work.run(remembered, archived)


def _silent(_done: int, _total: int) -> None:
    return


class _Online:
    def __init__(self, bus: Bus, trust: AuditTrust, now: datetime, progress: Progress) -> None:
        self._bus, self._site, self._now, self._progress = bus, trust.site, now, progress
        self._keys: Sequence[VerifyKey] = trust.notary_keys
        self._trusted: Trusted = trust.trusted
        self._checker = RecordChecker(self._trusted)
        self._tree = Tree()
        self._roots: dict[int, bytes] = {0: EMPTY_ROOT}
        self._findings: list[Finding] = []
        self._whole: list[Finding] = []  # about the log, not about one record
        self._first_uncovered: Stored | None = None

    async def ask_witnesses(self, policy: WitnessPolicy) -> None:
        """What they dispute, and whether enough of them have cosigned."""
        for told in await disputes(self._bus, self._site):
            detail = f"{told.witness!r} disputes the log: {told.detail}"
            self._whole.append(Finding(FindingKind.DISPUTED, None, "", detail))
        if policy.quorum != NOBODY:
            try:
                missing = policy.check(await newest_note(self._bus, self._site))
            except IntegrityError as error:
                missing = Finding(FindingKind.CHECKPOINT_MISSING, None, "", error.message)
            self._whole.extend([missing] if missing else [])

    async def run(self, path: Path | None, archived: Checkpoint | None) -> OnlineReport:
        # The checkpoints first: what they cover must be there when AUDIT is read after them.
        checkpoints = await self._checkpoints()
        last = checkpoints[-1] if checkpoints else None
        seen = highwater.recall(path) if path is not None else None
        known = [one for one in (seen, archived) if one is not None]
        sizes = {found.size for found in (*checkpoints, *known)}
        state = await self._bus.state("AUDIT")
        covered = last.size if last else 0
        believer = Believer(self._site)
        try:
            async for page in self._pages(state.last):
                await self._check(page, believer, sizes, covered)
                self._progress(self._tree.size, state.last)
        finally:
            believer.close()
        self._compare(checkpoints)
        for one in known:
            self._compare_seen(one, last)
        self._check_uncovered(covered)
        if path is not None and last is not None and not self._whole:
            path.parent.mkdir(parents=True, exist_ok=True)
            highwater.remember(path, last)
        return OnlineReport(
            site=self._site,
            origin=last.origin if last else "",
            size=self._tree.size,
            covered=covered,
            root=self._tree.root().hex(),
            checkpoints=len(checkpoints),
            remembered=seen.size if seen else None,
            findings=(*self._whole, *self._findings),
        )

    async def _pages(self, last: int) -> AsyncIterator[list[Stored]]:
        """Pages of AUDIT; the next one is on its way while one is checked."""
        start, reading = 1, self._read(1)
        try:
            while start <= last:
                page = [stored for stored in await reading if stored.sequence <= last]
                if not page:
                    return
                start = page[-1].sequence + 1
                if start <= last:
                    reading = self._read(start)
                yield page
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _read(self, start: int) -> asyncio.Task[list[Stored]]:
        return asyncio.create_task(self._bus.history("AUDIT", ">", start, _PAGE))

    async def _check(self, page: list[Stored], believer: Believer, sizes: set[int], covered: int) -> None:
        believed = await believer.believe(page, self._trusted)
        for stored, record in zip(page, believed, strict=True):
            index, writer = stored.sequence - 1, writer_on(stored.subject, self._site)
            self._findings.extend(self._checker.place(index, writer, stored.data, record))
            while self._tree.size < index:
                self._grow(_MISSING, sizes)  # keeps the others at their places; no root fits from here on
            self._grow(leaf_hash(stored.data), sizes)
            if index >= covered and self._first_uncovered is None:
                self._first_uncovered = stored

    def _grow(self, leaf: bytes, sizes: set[int]) -> None:
        self._tree.append_hash(leaf)
        if self._tree.size in sizes:
            self._roots[self._tree.size] = self._tree.root()

    async def _checkpoints(self) -> list[Checkpoint]:
        """Those that can be believed, in the order of the stream."""
        found: list[Checkpoint] = []
        for stored in await self._noted():
            try:
                noted = read_noted(stored)
                if noted.note:
                    found.append(open_checkpoint(noted.note, self._site, self._keys))
            except (TrustError, IntegrityError) as error:
                detail = f"checkpoint {stored.sequence} is not believed: {error.message}"
                self._whole.append(Finding(FindingKind.CHECKPOINT_INVALID, None, "", detail))
                continue
            if noted.refused is not None:
                index = noted.refused.index
                self._whole.append(
                    Finding(
                        FindingKind.CHECKPOINT_MISSING,
                        index,
                        "",
                        f"the notary refused to sign on: {noted.refused.detail}",
                    )
                )
        return found

    async def _noted(self) -> list[Stored]:
        state, subject = await self._bus.state(STREAM), checkpoint_subject(self._site)
        extent = state.last - state.first + 1
        if extent <= MAX_CHECKPOINTS:
            return await self._bus.history(STREAM, subject, state.first, max(extent, 1))
        step = extent / MAX_CHECKPOINTS
        chosen = {state.first + int(number * step) for number in range(MAX_CHECKPOINTS)} | {state.last}
        work = [self._bus.history(STREAM, subject, sequence, 1) for sequence in sorted(chosen)]
        found: dict[int, Stored] = {}
        for at in range(0, len(work), 64):
            for answer in await asyncio.gather(*work[at : at + 64]):
                found.update((stored.sequence, stored) for stored in answer)
        return [found[sequence] for sequence in sorted(found)]

    def _compare(self, checkpoints: list[Checkpoint]) -> None:
        """One finding for the first checkpoint that does not fit: it bounds where the change was made."""
        good = 0
        for before, found in zip([None, *checkpoints], checkpoints, strict=False):
            if before is not None and (wrong := _follows(before, found)) is not None:
                self._whole.append(wrong)
                return
            if found.size > self._tree.size:
                detail = f"AUDIT shrank: {found.size} records were signed, {self._tree.size} are there"
                self._whole.append(Finding(FindingKind.SHRUNK, self._tree.size, "", detail))
                return
            if self._roots[found.size] != found.root:
                detail = f"the records from {good} to {found.size - 1} are not those that were signed"
                self._whole.append(Finding(FindingKind.ROOT_MISMATCH, None, "", detail))
                return
            good = found.size

    def _compare_seen(self, seen: Checkpoint, last: Checkpoint | None) -> None:
        if last is None:
            detail = f"no checkpoint is left; one over {seen.size} records was seen before"
            self._whole.append(Finding(FindingKind.CHECKPOINT_MISSING, None, "", detail))
            return
        if last.origin == seen.origin and last.size > seen.size:
            if self._roots.get(seen.size) != seen.root:
                detail = f"the first {seen.size} records are not those that were seen before"
                self._whole.append(Finding(FindingKind.FORKED, None, "", detail))
            return
        wrong = highwater.compare(seen, last)
        if wrong is not None:
            self._whole.append(wrong)

    def _check_uncovered(self, covered: int) -> None:
        first = self._first_uncovered
        if first is None:
            return
        age = self._now - from_nanoseconds(first.time_ns)
        if age > timedelta(seconds=UNCOVERED_SECONDS):
            detail = (
                f"records {covered} to {self._tree.size - 1} wait {age.total_seconds():.0f} s for a "
                "checkpoint: is the notary running?"
            )
            self._whole.append(Finding(FindingKind.UNCOVERED, covered, "", detail))


def _follows(before: Checkpoint, found: Checkpoint) -> Finding | None:
    if found.origin != before.origin:
        detail = f"checkpoints of two logs: {before.origin!r}, then {found.origin!r}"
        return Finding(FindingKind.OTHER_LOG, None, "", detail)
    if found.size < before.size:
        detail = f"a checkpoint over {found.size} records follows one over {before.size}"
        return Finding(FindingKind.SHRUNK, found.size, "", detail)
    return None
