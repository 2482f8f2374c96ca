"""A witness in another trust domain: it gets files, and gives a cosignature back in them."""

from __future__ import annotations

from pathlib import Path

from plantops.audit.offline import folder_checkpoint, folder_leaves, verify_folder
from plantops.audit.trust import AuditTrust
from plantops.audit.witness import Disputed, Witness
from plantops.ledger import highwater, tiles
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.cosignature import cosign
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import IntegrityError


def witness_export(
    folder: Path, trust: AuditTrust, witness: Witness, *, name: str, key: SigningKey, at: int
) -> Checkpoint:
    """Check that an export is whole and extends what `witness` has seen; then remember, then cosign.

    The cosignature goes into the export's `checkpoint`, beside those that are there. Raises: Disputed;
    IntegrityError when a file cannot be read or written; SettingsError.
    """
    report = verify_folder(folder, trust, depth="tree")
    if not report.ok:
        raise Disputed(report.findings[0])
    found = folder_checkpoint(folder, trust)
    witness.check_checkpoint(found)
    witness.extend(found, folder_leaves(folder, found.size)[witness.size :])
    path = folder / tiles.CHECKPOINT_FILE
    signed = tiles.read_file(path)
    if signed is None:
        raise IntegrityError(f"{path} is gone: export again", path=str(path))
    highwater.replace_file(path, cosign(signed, name, key, at))
    return found
