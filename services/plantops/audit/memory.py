"""What the notary keeps beside the log: a signed snapshot in its bucket, a high-water mark on its disk."""

from __future__ import annotations

from typing import Final

import structlog

from plantops.audit.notary import LogDamaged, Notary
from plantops.flow.context import Context
from plantops.flow.snapshot import Snapshot, SnapshotDamaged, SnapshotStore
from plantops.ledger import highwater
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.record import Trusted
from plantops.runtime.errors import Fenced

VERSION: Final = 1
HIGHWATER_FILE: Final = "checkpoint.seen"

log = structlog.get_logger("plantops.notary")


class NotaryMemory:
    """`restore` first. `created` is AUDIT's identity as the snapshot knew it, "" without one."""

    def __init__(self, context: Context) -> None:
        self._site = context.site
        self._store = SnapshotStore(context.bus, context.name, VERSION, context.signer.key)
        self._highwater = context.state / HIGHWATER_FILE
        self._owns_bucket = False
        self._restored = 0
        self.created = ""

    async def restore(self, trusted: Trusted) -> Notary:
        """The state of the last snapshot, an empty one without. Raises: BrokerError."""
        await self._store.claim()
        self._owns_bucket = True
        try:
            snapshot = await self._store.load()
            if snapshot is not None:
                notary = Notary.load(self._site, trusted, snapshot.state)
                self.created, self._restored = snapshot.created.get("AUDIT", ""), notary.size
                return notary
        except (SnapshotDamaged, ValueError) as error:
            log.warning("notary.snapshot_damaged", reason=str(error))
        return Notary(self._site, trusted)

    def marks(self, last: Checkpoint | None, restored: int) -> list[Checkpoint]:
        """What the records must agree with, smallest first. Raises: LogDamaged, IntegrityError."""
        seen = highwater.recall(self._highwater)
        known = max(restored, seen.size if seen else 0)
        if last is None or last.size < known:
            if known == 0:
                return []
            detail = f"CHECKPOINTS lost the checkpoint over {known} records"
            raise LogDamaged(Finding(FindingKind.CHECKPOINT_MISSING, None, "", detail))
        # What lies before the snapshot is vouched for by its signature.
        return [seen, last] if seen is not None and seen.size >= restored else [last]

    def remember(self, checkpoint: Checkpoint) -> None:
        """Before anybody can rely on it. Raises: IntegrityError when the disk refuses."""
        self._highwater.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        highwater.remember(self._highwater, checkpoint)

    async def save(self, notary: Notary, created: str) -> None:
        """Unless another notary took the bucket over: then it saves for both. Raises: BrokerError."""
        if not self._owns_bucket:
            return
        try:
            await self._store.save(
                Snapshot(positions={"AUDIT": notary.size}, created={"AUDIT": created}, state=notary.dump())
            )
        except Fenced:
            self._owns_bucket = False
            log.info("notary.second", reason="another notary saves the snapshots now")
