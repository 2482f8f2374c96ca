"""Proofs of single records for whoever has no access to us (C2SP tlog-proof), and their check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plantops.audit.offline import folder_leaves
from plantops.audit.trust import AuditTrust
from plantops.flow.bus import Bus
from plantops.flow.checkpoints import open_checkpoint
from plantops.flow.cosigned import claimed_size, newest_note
from plantops.ledger import tiles
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.proof import Proof
from plantops.ledger.record import AuditRecord, believe, read_unverified
from plantops.ledger.tree import inclusion_proof, leaf_hash
from plantops.ledger.witnesses import WitnessPolicy
from plantops.runtime.errors import IntegrityError, MalformedEnvelope, Refused, TrustError

_PAGE: Final = 2048

Progress = Callable[[int, int], None]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof shows. `record` is what the entry says, None when it is no record; whether its writer
    signed it was asked only if `is_writer_checked`."""

    index: int
    size: int
    origin: str
    record: AuditRecord | None
    is_writer_checked: bool
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not self.findings


async def prove_live(
    bus: Bus, *, site: str, index: int | None = None, command: str = "", progress: Progress | None = None
) -> list[Proof]:
    """Proofs of one record, or of all records about a command, under the newest checkpoint.

    Reads all records under it once. Raises: IntegrityError when the log is not whole; Refused when there is
    no such record; BrokerError.
    """
    signed = await newest_note(bus, site)
    size = claimed_size(signed)
    leaves: list[bytes] = []
    wanted: dict[int, bytes] = {}
    while len(leaves) < size:
        page = await bus.history("AUDIT", ">", len(leaves) + 1, min(_PAGE, size - len(leaves)))
        for stored in page:
            if stored.sequence != len(leaves) + 1:
                break
            if _is_wanted(len(leaves), stored.data, index, command):
                wanted[len(leaves)] = stored.data
            leaves.append(leaf_hash(stored.data))
        if not page or page[-1].sequence != len(leaves):
            raise IntegrityError(
                f"record {len(leaves)} of AUDIT is gone: `plantops audit verify`", path="AUDIT"
            )
        if progress is not None:
            progress(len(leaves), size)
    if not wanted:
        raise _none(index, command, size)
    return list(_made(wanted, leaves, size, signed))


def prove_from_folder(folder: Path, *, index: int | None = None, command: str = "") -> list[Proof]:
    """As `prove_live`, from an export alone. Raises: IntegrityError, Refused."""
    signed = tiles.read_file(folder / tiles.CHECKPOINT_FILE)
    if signed is None:
        raise IntegrityError(f"{folder} has no checkpoint: it is no export", path=str(folder))
    size = claimed_size(signed)
    wanted = {
        at: entry
        for at, entry in enumerate(tiles.read_entries(folder, size))
        if _is_wanted(at, entry, index, command)
    }
    if not wanted:
        raise _none(index, command, size)
    return list(_made(wanted, folder_leaves(folder, size), size, signed))


def check_proof(proof: Proof, trust: AuditTrust, *, witnesses: WitnessPolicy | None = None) -> Checked:
    """Check a proof with the caller's own keys alone; `witnesses` stand in for those of `trust`.

    Who wrote the record is asked only where `trust` names writers. Raises: SettingsError.
    """
    findings: list[Finding] = []
    size, origin = 0, ""
    try:
        checkpoint = open_checkpoint(proof.checkpoint, trust.site, trust.notary_keys)
    except TrustError as error:
        findings.append(Finding(FindingKind.CHECKPOINT_INVALID, None, "", error.message))
    else:
        size, origin = checkpoint.size, checkpoint.origin
        policy = witnesses if witnesses is not None else trust.witness_policy
        findings.extend(one for one in (policy.check(proof.checkpoint),) if one)
        if not proof.holds_in(checkpoint):
            detail = f"the log over {size} records does not hold this record at {proof.index}"
            findings.append(Finding(FindingKind.ENTRY_MISMATCH, proof.index, "", detail))
    if trust.trusted:
        believed = believe(proof.index, None, proof.entry, trust.trusted)
        findings.extend([believed] if isinstance(believed, Finding) else [])
    return Checked(
        index=proof.index,
        size=size,
        origin=origin,
        record=_read(proof.entry),
        is_writer_checked=bool(trust.trusted),
        findings=tuple(findings),
    )


def _read(entry: bytes) -> AuditRecord | None:
    try:
        return read_unverified(entry)
    except MalformedEnvelope:
        return None


def _is_wanted(at: int, entry: bytes, index: int | None, command: str) -> bool:
    if index is not None:
        return at == index
    record = _read(entry)
    return record is not None and record.command == command


def _none(index: int | None, command: str, size: int) -> Refused:
    what = f"record {index}" if index is not None else f"record about command {command!r}"
    return Refused(
        f"no {what} lies under the last checkpoint, which covers {size}: look with `plantops audit show`",
        reason="record",
    )


def _made(wanted: dict[int, bytes], leaves: Sequence[bytes], size: int, signed: bytes) -> Iterator[Proof]:
    for at, entry in wanted.items():
        yield Proof(entry, at, inclusion_proof(leaves, at, size), signed)
