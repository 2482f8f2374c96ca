"""The witness at work: reads each checkpoint and the records under it, and cosigns what extends the last.

It stores that it has seen a checkpoint before it says so, and never cosigns one that goes back. Nobody waits
for it: the notary signs on without.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import structlog

from plantops.audit.specs import WITNESS
from plantops.audit.witness import SEEN_FILE, Disputed, Witness
from plantops.events.base import Event
from plantops.events.operations import CheckpointCosigned, CheckpointDisputed
from plantops.events.subjects import cosignature, dispute
from plantops.flow.bus import StreamState
from plantops.flow.checkpoints import last_noted, trusted_checkpoint
from plantops.flow.context import Context
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.cosignature import cosign
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.tree import leaf_hash
from plantops.policy.audit_keys import notary_keys, witness_name
from plantops.runtime.errors import BrokerError, IntegrityError, StreamMissing

POLL_SECONDS: Final = 0.5
READ_RECORDS: Final = 4096
STREAM: Final = "COSIGNATURES"

log = structlog.get_logger("plantops.witness")


@dataclass
class WitnessProcess:
    """`run` until cancelled. `refusal` says why nothing is cosigned any more, "" while all is well.

    A restart looks again, with the same memory.
    """

    context: Context
    poll_seconds: float = POLL_SECONDS
    refusal: str = ""
    cosigned: int = 0
    _told: bool = field(default=False, repr=False)  # whether the stream has what is remembered
    _shown: bytes = field(default=b"", repr=False)
    _waits: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        """Raises: IntegrityError when what it remembers is damaged: it must not begin anew by itself."""
        self.witness = Witness(self.context.state / SEEN_FILE)

    async def run(self) -> None:
        """Until cancelled. Raises: BrokerError when a right is missing."""
        while True:
            await self.step()
            self.context.ready()
            await asyncio.sleep(self.poll_seconds)

    async def step(self) -> None:
        """Look once. A broker that is away is waited for."""
        if self.refusal:
            return
        try:
            await self._look()
        except Disputed as found:
            await self._refuse(found.finding)
        except IntegrityError as error:
            await self._refuse(Finding(FindingKind.CHECKPOINT_INVALID, None, "", error.message))
        except BrokerError as error:
            if not error.retryable and not isinstance(error, StreamMissing):
                raise
            if not self._waits:
                log.warning("witness.waiting", reason=error.message)
            self._waits = True
        else:
            self._waits = False

    async def _look(self) -> None:
        verified = self.context.in_force.verified
        if verified is None:
            return
        noted = await last_noted(self.context.bus, self.context.site)
        self._shown = noted.note
        found = trusted_checkpoint(noted, self.context.site, notary_keys(verified.policy))
        self.witness.check_checkpoint(found)
        state = await self._state()
        self.witness.check_stream(state.first, state.last, state.created)
        if found is None:
            return
        if found.size > state.last:
            detail = f"AUDIT shrank: {found.size} records were signed, {state.last} are there"
            raise Disputed(Finding(FindingKind.SHRUNK, state.last, "", detail))
        if self.witness.seen is None or self.witness.seen.checkpoint != found:
            leaves = [leaf async for leaf in self._leaves(found.size)]
            self.witness.extend(found, leaves, created=state.created)
            self._told = False
        if not self._told:
            await self._tell(found, noted.note)

    async def _state(self) -> StreamState:
        try:
            return await self.context.bus.state("AUDIT")
        except StreamMissing as error:
            if not self.witness.size:
                raise
            detail = f"AUDIT is gone; it held {self.witness.size} records"
            raise Disputed(Finding(FindingKind.SHRUNK, 0, "", detail)) from error

    async def _leaves(self, size: int) -> AsyncIterator[bytes]:
        done = self.witness.size
        while done < size:
            limit = min(READ_RECORDS, size - done)
            page = await self.context.bus.history("AUDIT", ">", done + 1, limit)
            for stored in page:
                if stored.sequence != done + 1:
                    break
                done += 1
                yield leaf_hash(stored.data)
            if not page or page[-1].sequence != done:
                detail = f"record {done} of AUDIT is gone"
                raise Disputed(Finding(FindingKind.STREAM_GAP, done, "", detail))

    async def _tell(self, found: Checkpoint, signed: bytes) -> None:
        site, now = self.context.site, self.context.now()
        name = witness_name(site, WITNESS)
        key = self.context.signer.key
        event = CheckpointCosigned(
            site=site,
            witness=name,
            size=found.size,
            root=found.root.hex(),
            note=cosign(signed, name, key, int(now.timestamp())).decode(),
            at=now,
        )
        await self._publish(
            cosignature(site, self.context.signer.name), event, f"cosigned.{found.root.hex()}"
        )
        self._told, self.cosigned = True, found.size

    async def _publish(self, subject: str, event: Event, message_id: str) -> None:
        message = self.context.signer.message(subject, event, id=message_id, time=self.context.now())
        await self.context.bus.publish(message, stream=STREAM)

    async def _refuse(self, finding: Finding) -> None:
        """Say it once in the log and once on the stream, and cosign nothing more."""
        self.refusal = finding.detail
        log.error("witness.refuses", kind=finding.kind, index=finding.index, detail=finding.detail)
        seen = self.witness.seen
        event = CheckpointDisputed(
            site=self.context.site,
            witness=witness_name(self.context.site, WITNESS),
            kind=finding.kind,
            detail=finding.detail,
            size=seen.checkpoint.size if seen else 0,
            root=seen.checkpoint.root.hex() if seen else "",
            note=self._shown.decode(errors="replace"),
        )
        try:
            await self._publish(dispute(self.context.site, self.context.signer.name), event, "disputed")
        except BrokerError as error:
            log.warning("witness.refusal_not_stored", reason=error.message)


async def run_witness(context: Context) -> None:
    """Until cancelled. Raises: BrokerError when a right is missing; IntegrityError for a damaged memory."""
    process = WitnessProcess(context)
    try:
        await process.run()
    finally:
        log.info("witness.stopped", size=process.witness.size)
