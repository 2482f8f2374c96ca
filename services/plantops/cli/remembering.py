"""What this person's machine has verified before, held against what it is shown now."""

from __future__ import annotations

import os
from pathlib import Path

from plantops.audit.offline import Depth, folder_checkpoint, verify_folder
from plantops.audit.remembered import Remembered, state_folder
from plantops.audit.trust import AuditTrust
from plantops.cli.proofs import AUDITOR, HIGH_WATER, site_trust
from plantops.deployment.place import Place
from plantops.flow.bus import Bus
from plantops.flow.checkpoints import last_noted, trusted_checkpoint
from plantops.ledger import highwater
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import FindingKind
from plantops.ledger.verify import Report
from plantops.ledger.witnesses import WitnessPolicy
from plantops.runtime.errors import Refused, TrustError


def memory() -> Remembered:
    """Of the user, not of a site: who can change the site's folder shall not change this."""
    return Remembered(state_folder(os.environ, Path.home()))


def verify_files(
    folder: Path, trust: AuditTrust, *, depth: Depth = "records", witnesses: WitnessPolicy | None = None
) -> Report:
    """Verify an export against all that was seen before, and remember it if all is well.

    An export that is older than what was seen is refused, for that is what a log cut short looks like: an
    old one that is kept is an archive. Raises: IntegrityError, SettingsError.
    """
    report = verify_folder(folder, trust, depth=depth, witnesses=witnesses, seen=memory().recall(trust))
    if report.ok:
        memory().remember(trust, folder_checkpoint(folder, trust))
    return report


def keep_seen(folder: Path, trust: AuditTrust) -> None:
    """Hold what was just exported against what was seen before. Raises: Refused, IntegrityError."""
    seen = memory().recall(trust)
    try:
        found = folder_checkpoint(folder, trust)
    except TrustError:
        return  # evidence of damage may be exported; whoever verifies it is told
    if seen is not None and (wrong := highwater.compare_sizes(seen, found)) is not None:
        raise Refused(
            f"the export was written to {folder}, but it is not the log that was seen: {wrong.detail}",
            reason="audit",
        )


async def refuse_older(bus: Bus, site: Place) -> None:
    """Hold the newest checkpoint against those seen here. Raises: Refused, BrokerError."""
    trust = site_trust(site)
    noted = await last_noted(bus, site.name)
    refuse_gone_back(site, trust, trusted_checkpoint(noted, site.name, trust.notary_keys))


def refuse_gone_back(site: Place, trust: AuditTrust, found: Checkpoint | None) -> None:
    """Hold a checkpoint against those seen here, by size and origin alone; nothing is remembered by it.

    Raises: Refused, IntegrityError.
    """
    for seen in (highwater.recall(site.folder.state(AUDITOR) / HIGH_WATER), memory().recall(trust)):
        if seen is None:
            continue
        wrong = highwater.compare_sizes(seen, found) if found is not None else None
        if found is None or wrong is not None:
            kind = wrong.kind if wrong else FindingKind.CHECKPOINT_MISSING
            detail = wrong.detail if wrong else f"no checkpoint is left; one over {seen.size} was seen before"
            raise Refused(f"{kind}: {detail}; look with `plantops audit verify`", reason="audit")
