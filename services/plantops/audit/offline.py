"""Verifying an export from its files, with the caller's own keys and memory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from plantops.audit.parallel import examiner_for
from plantops.audit.trust import AuditTrust
from plantops.flow.checkpoints import open_checkpoint
from plantops.ledger import highwater, tiles, verify
from plantops.ledger.bundles import one_by_one, read_tile
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.tree import Tree
from plantops.ledger.verify import Report
from plantops.ledger.witnesses import WitnessPolicy
from plantops.runtime.errors import IntegrityError, TrustError

Depth: TypeAlias = Literal["records", "tree"]
"""All of it, or the tree alone: then nobody's signature but the notary's and the witnesses' is asked for."""


def verify_folder(
    folder: Path,
    trust: AuditTrust,
    *,
    depth: Depth = "records",
    witnesses: WitnessPolicy | None = None,
    seen: Checkpoint | None = None,
    processes: int = 0,
) -> Report:
    """Verify an export; `witnesses` stand in for those of `trust`, `seen` is a checkpoint known from before.

    `processes` 0: one for each processor where the log is large. Raises: IntegrityError when a file cannot
    be read; SettingsError for keys that are none.
    """
    signed = tiles.read_file(folder / tiles.CHECKPOINT_FILE)
    if signed is None:
        return verify.without_checkpoint(FindingKind.CHECKPOINT_MISSING, "the export has no checkpoint")
    try:
        found = open_checkpoint(signed, trust.site, trust.notary_keys)
    except TrustError as error:
        return verify.without_checkpoint(FindingKind.CHECKPOINT_INVALID, error.message)
    is_deep = depth == "records"
    report = verify.verify_covered(
        folder,
        found,
        writers=trust.trusted if is_deep else None,
        examiner=examiner_for(found.size, processes=processes) if is_deep else one_by_one,
    )
    policy = witnesses if witnesses is not None else trust.witness_policy
    more = [finding for finding in (policy.check(signed), _against(folder, seen, found)) if finding]
    return msgspec.structs.replace(report, findings=(*more, *report.findings))


def folder_checkpoint(folder: Path, trust: AuditTrust) -> Checkpoint:
    """The export's checkpoint. Raises: TrustError when no notary of the site signed it; IntegrityError."""
    signed = tiles.read_file(folder / tiles.CHECKPOINT_FILE) or b""
    return open_checkpoint(signed, trust.site, trust.notary_keys)


def folder_leaves(folder: Path, size: int) -> list[bytes]:
    """The leaf hashes as the tiles say; believe them when they give a signed root.

    Raises: IntegrityError when a tile is missing or damaged.
    """
    leaves: list[bytes] = []
    for number, width in tiles.expected_tiles(size, 0):
        found = read_tile(folder, 0, number, width)
        if isinstance(found, Finding):
            raise IntegrityError(f"{found.detail}: export again", path=found.path)
        leaves.extend(found)
    return leaves


def _against(folder: Path, seen: Checkpoint | None, found: Checkpoint) -> Finding | None:
    if seen is None:
        return None
    if (seen.origin, found.size) == (found.origin, seen.size) or found.size < seen.size:
        return highwater.compare(seen, found)
    try:
        leaves = folder_leaves(folder, found.size)
    except IntegrityError:
        return None  # the damaged tile is a finding already
    return highwater.compare_rebuilt(seen, found, leaves) if Tree(leaves).root() == found.root else None
