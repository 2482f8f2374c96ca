"""Whether every audit row of an archive stands in the tree that the notary signed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import duckdb

from plantops.archive.record_tables import AUDIT, CHECKPOINT
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.tree import Tree
from plantops.runtime.errors import IntegrityError, TrustError

Open: TypeAlias = Callable[[bytes], Checkpoint]
"""The checkpoint in a signed note, if a notary who counts signed it. Raises: TrustError."""
Progress: TypeAlias = Callable[[int, int], None]

_PAGE: Final = 100_000


@dataclass(frozen=True, slots=True)
class Proof:
    """`size` rows, of which the first `covered` stand in a signed tree when there is no finding.

    `checkpoints` roots were compared. `good` rows are proved: those below the last root that fits.
    """

    size: int
    covered: int
    checkpoints: int
    good: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not self.findings


def prove(
    connection: duckdb.DuckDBPyConnection,
    open_note: Open,
    progress: Progress | None = None,
    *,
    up_to: int | None = None,
) -> Proof:
    """Compare the tree over the leaf hashes of table `audit` with every checkpoint of table `checkpoint`,
    or with those over at most `up_to` records, where the rows come from an export of that size.

    Only for tables that were just made from the records' exact bytes: then a row is in the tree exactly when
    the record from which it was made is. Raises: IntegrityError when nothing was ever signed.
    """
    signed, findings = _signed(connection, open_note)
    if not signed and not findings:
        raise IntegrityError("no checkpoint was signed yet, so nothing can be proved: is the notary running?")
    sizes = {found.size: found for found in signed if up_to is None or found.size <= up_to}
    tree, good = Tree(), 0
    for position, leaf in _leaves(connection, progress):
        if position != tree.size:
            detail = f"rows {tree.size} to {position - 1} of the audit are missing"
            findings.append(Finding(FindingKind.STREAM_GAP, tree.size, "", detail))
            break
        tree.append_hash(leaf)
        found = sizes.get(tree.size)
        if found is not None and found.root != tree.root():
            detail = f"among the rows {good} to {tree.size - 1} is one that was not signed so"
            findings.append(Finding(FindingKind.ROOT_MISMATCH, good, "", detail))
            break
        if found is not None:
            good = tree.size
    covered = max(sizes, default=0)
    if not findings and covered > tree.size:
        detail = f"{covered} records were signed, {tree.size} are there"
        findings.append(Finding(FindingKind.SHRUNK, tree.size, "", detail))
    rows = connection.execute(f"SELECT count(*) FROM {AUDIT.name}").fetchall()[0][0]  # noqa: S608
    return Proof(rows, covered, len(signed), good, tuple(findings))


def _signed(connection: duckdb.DuckDBPyConnection, open_note: Open) -> tuple[list[Checkpoint], list[Finding]]:
    signed: list[Checkpoint] = []
    findings: list[Finding] = []
    rows = connection.execute(
        f"SELECT sequence, note, refusal FROM {CHECKPOINT.name} ORDER BY sequence"  # noqa: S608
    ).fetchall()
    for sequence, note, refusal in rows:
        if refusal:
            detail = f"the notary refused to sign on: {refusal}"
            findings.append(Finding(FindingKind.CHECKPOINT_MISSING, None, "", detail))
            continue
        try:
            signed.append(open_note(note.encode()))
        except TrustError as error:
            detail = f"checkpoint {sequence} is not believed: {error.message}"
            findings.append(Finding(FindingKind.CHECKPOINT_INVALID, None, "", detail))
    if len({found.origin for found in signed}) > 1:
        origins = sorted({found.origin for found in signed})
        findings.append(Finding(FindingKind.OTHER_LOG, None, "", f"checkpoints of several logs: {origins}"))
    return signed, findings


def _leaves(connection: duckdb.DuckDBPyConnection, progress: Progress | None) -> Iterator[tuple[int, bytes]]:
    total = connection.execute(f"SELECT count(*) FROM {AUDIT.name}").fetchall()[0][0]  # noqa: S608
    found = connection.execute(f"SELECT position, leaf FROM {AUDIT.name} ORDER BY position")  # noqa: S608
    done = 0
    while page := found.fetchmany(_PAGE):
        for position, leaf in page:
            yield position, bytes.fromhex(leaf)
        done += len(page)
        if progress is not None:
            progress(done, total)
