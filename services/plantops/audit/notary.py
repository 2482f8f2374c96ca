"""The notary's core: the tree over the audit stream, every writer's head, and when it may be signed.

Pure: records and checkpoints in, findings and proposals out. A bad record is a finding and is covered by the
tree like any other; what makes the log itself doubtful raises `LogDamaged`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from plantops.audit.signatures import Believed, writer_on
from plantops.events.queries import HeadTold
from plantops.flow.bus import Stored
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.record import BEGINNING, Head, RecordChecker, Trusted
from plantops.ledger.tree import Tree, leaf_hash
from plantops.runtime.errors import IntegrityError

SIGN_SECONDS: Final = 1.0
SIGN_RECORDS: Final = 256


class LogDamaged(IntegrityError):
    """The audit stream is not what it was: nothing more is signed over it. `finding` says what shows it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(
            f"{finding.detail}; stop acting on this log, keep its files and call the security engineer",
            path="AUDIT",
        )
        self.finding = finding


class _Dump(msgspec.Struct, frozen=True):
    origin: str
    tree: bytes
    heads: dict[str, tuple[int, str]]
    stored: dict[str, int]
    findings: int


class Notary:
    """Takes records in stream order; `size` of them so far, with `findings` found wrong."""

    def __init__(self, site: str, trusted: Trusted) -> None:
        self.findings = 0
        self.agreed: Checkpoint | None = None
        self.origin = ""
        self._site = site
        self._trusted = trusted
        self._tree = Tree()
        self._checker = RecordChecker(trusted)
        self._stored: dict[str, int] = {}
        # The tree as it was at `_base.size`, and the leaves since: another notary's checkpoint lies there.
        self._base = Tree()
        self._since: list[bytes] = []
        self._roots: dict[int, bytes] = {}
        self._watched: frozenset[int] = frozenset()

    @property
    def size(self) -> int:
        return self._tree.size

    @property
    def trusted(self) -> Trusted:
        return self._trusted

    def trust(self, trusted: Trusted) -> None:
        """Believe these from the next record on."""
        self._trusted = trusted
        self._checker = RecordChecker(trusted, next_index=self.size, heads=self._checker.heads)

    def watch(self, sizes: Iterable[int]) -> None:
        """Remember the roots at these sizes while reading; what lies before the largest is forgotten."""
        self._watched = frozenset(sizes)
        if self.size in self._watched:
            self._roots[self.size] = self._tree.root()

    def take(self, records: Sequence[Stored], believed: Sequence[Believed]) -> list[Finding]:
        """Cover these records, `believed` as `signatures` says. Raises: LogDamaged at the first gap."""
        found: list[Finding] = []
        for stored, record in zip(records, believed, strict=True):
            index = self._tree.size
            if stored.sequence != index + 1:
                raise _gap(index, stored.sequence - 1)
            writer = writer_on(stored.subject, self._site)
            found.extend(self._checker.place(index, writer, stored.data, record))
            self._stored[writer] = stored.sequence
            self._cover(leaf_hash(stored.data))
        self.findings += len(found)
        return found

    def _cover(self, leaf: bytes) -> None:
        self._tree.append_hash(leaf)
        self._since.append(leaf)
        if self._tree.size in self._watched:
            self._roots[self._tree.size] = self._tree.root()
            self._rebase()

    def _rebase(self) -> None:
        self._base, self._since = Tree.load(self._tree.dump()), []

    def check_extent(self, first: int, last: int) -> None:
        """Compare with the stream's first and last sequence. Raises: LogDamaged."""
        if last < self.size:
            detail = f"AUDIT shrank from {self.size} to {last} records"
            raise LogDamaged(Finding(FindingKind.SHRUNK, last, "", detail))
        if last and first > 1:
            raise _gap(0, first - 1)

    def agree(self, checkpoint: Checkpoint) -> None:
        """Take a verified checkpoint as what was signed last. Raises: LogDamaged when we cannot."""
        if self.origin and checkpoint.origin != self.origin:
            detail = f"the checkpoint is of log {checkpoint.origin!r}, this one is {self.origin!r}"
            raise LogDamaged(Finding(FindingKind.OTHER_LOG, None, "", detail))
        if self.agreed is not None and checkpoint.size < self.agreed.size:
            detail = f"the last checkpoint went back from {self.agreed.size} to {checkpoint.size} records"
            raise LogDamaged(Finding(FindingKind.SHRUNK, checkpoint.size, "", detail))
        if checkpoint.size > self.size:
            detail = f"AUDIT shrank: {checkpoint.size} records were signed, {self.size} are there"
            raise LogDamaged(Finding(FindingKind.SHRUNK, self.size, "", detail))
        if self._root_at(checkpoint.size) != checkpoint.root:
            detail = (
                f"the first {checkpoint.size} records are not those that were signed: AUDIT was rewritten"
            )
            raise LogDamaged(Finding(FindingKind.FORKED, None, "", detail))
        self.origin, self.agreed = checkpoint.origin, checkpoint
        if checkpoint.size == self.size:
            self._rebase()

    def _root_at(self, size: int) -> bytes | None:
        if size in self._roots:
            return self._roots[size]
        if not self._base.size <= size <= self.size:
            return None
        tree = Tree.load(self._base.dump())
        for leaf in self._since[: size - self._base.size]:
            tree.append_hash(leaf)
        return tree.root()

    def is_due(self, seconds_since_last: float) -> bool:
        """Whether a checkpoint is to be signed now."""
        unsigned = self.size - (self.agreed.size if self.agreed else 0)
        return unsigned >= SIGN_RECORDS or (unsigned > 0 and seconds_since_last >= SIGN_SECONDS)

    def propose(self, origin: str) -> Checkpoint:
        """What to sign; `origin` names the log if this is its first checkpoint."""
        return Checkpoint(self.origin or origin, self.size, self._tree.root())

    def head(self, writer: str) -> HeadTold:
        """Where a writer's chain stands; zeros for one who wrote nothing."""
        head = self._checker.heads.get(writer, BEGINNING)
        return HeadTold(sequence=head.sequence, hash=head.previous, stored=self._stored.get(writer, 0))

    def dump(self) -> bytes:
        """The state as it is; call it when `agreed` covers all."""
        heads = {name: (head.sequence, head.previous) for name, head in sorted(self._checker.heads.items())}
        return msgspec.msgpack.encode(
            _Dump(self.origin, self._tree.dump(), heads, dict(sorted(self._stored.items())), self.findings)
        )

    @classmethod
    def load(cls, site: str, trusted: Trusted, data: bytes) -> Notary:
        """What `dump` wrote; nothing is agreed until `agree`. Raises: ValueError, IntegrityError."""
        read = msgspec.msgpack.decode(data, type=_Dump)
        notary = cls(site, trusted)
        notary.origin, notary.findings = read.origin, read.findings
        notary._tree = Tree.load(read.tree)
        notary._rebase()
        heads: Mapping[str, Head] = {name: Head(*head) for name, head in read.heads.items()}
        notary._checker = RecordChecker(trusted, next_index=notary.size, heads=heads)
        notary._stored = dict(read.stored)
        return notary


def _gap(expected: int, found: int) -> LogDamaged:
    detail = f"records {expected} to {found - 1} of AUDIT are gone"
    return LogDamaged(Finding(FindingKind.STREAM_GAP, expected, "", detail))
