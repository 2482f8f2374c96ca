"""Proofs of what happened: the notary's newest word, single records under it, and the log as tiles.

Whoever is given a proof or a tile believes it for its hashes and the notary's key, not for having it from us.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

from plantops.events.base import Record
from plantops.events.provenance import Provenance
from plantops.events.queries import CommandAsked, CommandStatus
from plantops.events.subjects import service
from plantops.flow.checkpoints import last_noted, open_checkpoint
from plantops.flow.cosigned import newest_note
from plantops.ledger import proof
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.cosignature import cosigned_at
from plantops.ledger.proof import Proof
from plantops.ledger.proving import hashes_of, inclusion_by_tiles, tiles_needed
from plantops.ledger.record import AuditRecord, read_unverified
from plantops.ledger.tiles import ENTRIES, TILE_WIDTH, TileAddress, parse_path
from plantops.policy.audit_keys import notary_keys, witness_keys
from plantops.runtime.errors import IntegrityError, MalformedEnvelope, SignatureInvalid, TrustError
from plantops.tools.contract import Arguments, Call, Page, Tool, ToolError
from plantops.tools.reading.audit_index import LeafIndex, index_of, leaves_of
from plantops.tools.reading.cursors import cut

# A witness may be waited for, and after a start the log has to be read.
_SECONDS: Final = 20.0
# Each is some kilobytes.
_MOST_PROOFS: Final = 16
_HANDLE: Final = re.compile(r"c\d{1,20}", re.ASCII)


class AuditCheckpoint(Arguments, frozen=True):
    """Nothing to say."""


class CheckpointGiven(Record, frozen=True):
    """`note` is the exact signed note (C2SP tlog-checkpoint); `refused` why nothing newer is signed, if so.

    `cosigned_by` are the site's witnesses whose cosignature over it holds.
    """

    note: str
    origin: str
    size: int
    root: str
    cosigned_by: tuple[str, ...]
    refused: str = ""


async def audit_checkpoint(call: Call, _asked: AuditCheckpoint) -> Page[CheckpointGiven]:
    """The newest note with its cosignatures, and whether the notary goes on."""
    signed, found = await _newest(call)
    noted = await last_noted(call.audit, call.site)
    return Page(
        CheckpointGiven(
            note=signed.decode(),
            origin=found.origin,
            size=found.size,
            root=found.root.hex(),
            cosigned_by=_cosigned_by(call, signed),
            refused="" if noted.refused is None else f"{noted.refused.kind}: {noted.refused.detail}",
        ),
        provenance=(
            Provenance(channel="audit", name="checkpoint", stream="CHECKPOINTS", sequence=noted.sequence),
        ),
    )


async def _newest(call: Call) -> tuple[bytes, Checkpoint]:
    """The newest note that a notary of the policy signed. Raises: ToolError."""
    try:
        signed = await newest_note(call.audit, call.site)
        return signed, open_checkpoint(signed, call.site, notary_keys(call.verified.policy))
    except (IntegrityError, TrustError) as error:
        raise ToolError("not_trusted", error.message) from error


def _cosigned_by(call: Call, signed: bytes) -> tuple[str, ...]:
    found = []
    for witness in witness_keys(call.verified.policy):
        try:
            at = cosigned_at(signed, witness)
        except SignatureInvalid:
            continue  # whoever made that line up, it is none of this witness
        if at is not None:
            found.append(witness.name)
    return tuple(found)


class AuditProof(Arguments, frozen=True):
    """Which records."""

    command: Annotated[
        str, Meta(min_length=1, max_length=64, description="A handle such as c12, or the command's identity.")
    ]


class ProofGiven(Record, frozen=True):
    """The record at leaf `index`, in words and as a proof that anybody can check (C2SP tlog-proof, the exact
    text of the file)."""

    index: int
    writer: str
    kind: str
    at: datetime | None
    proof: str


class ProofsGiven(Record, frozen=True):
    """In the order of the log; `size` is that of the checkpoint in each."""

    proofs: tuple[ProofGiven, ...]
    size: int


async def audit_proof(call: Call, asked: AuditProof) -> Page[ProofsGiven]:
    """Proofs under the newest checkpoint; each was checked against it.

    Raises: ToolError `not_found` when no such record lies under it yet, `not_trusted` when the log does not
    hold together.
    """
    command = await _identity(call, asked.command)
    signed, checkpoint = await _newest(call)
    index = index_of(call.audit)
    await index.reach(checkpoint.size, call.timeout_seconds)
    wanted = list(index.about(command, checkpoint.size))
    page, following = cut(wanted, call.cursor, min(call.rows, _MOST_PROOFS))
    made = await _prove(call, index, page, signed, checkpoint)
    proofs = [one for one in made if _is_about(one, command)]
    if not proofs and not call.cursor and not following:
        raise ToolError(
            "not_found",
            f"no record about command {asked.command!r} lies under the newest checkpoint, which covers "
            f"{checkpoint.size}: wait for the next one",
        )
    return Page(
        ProofsGiven(proofs=tuple(map(_told, proofs)), size=checkpoint.size),
        provenance=tuple(
            Provenance(channel="audit", name=str(one.index), stream="AUDIT", sequence=one.index + 1)
            for one in proofs
        ),
        next=following,
    )


async def _identity(call: Call, command: str) -> str:
    """What the records call it: a handle is known to the gate alone."""
    if _HANDLE.fullmatch(command) is None:
        return command
    question = CommandAsked(command=command)
    return (await call.ask(service("command", call.site, "get"), question, CommandStatus)).command


async def _prove(
    call: Call, index: LeafIndex, places: Sequence[int], signed: bytes, checkpoint: Checkpoint
) -> list[Proof]:
    """Each is checked. Raises: ToolError."""
    size = checkpoint.size
    tiles = sorted({tile for at in places for tile in tiles_needed(size, at)})
    read = await asyncio.gather(*(leaves_of(call.audit, tile, size) for tile in tiles))
    known = dict(zip(tiles, read, strict=True))
    made = []
    for at in places:
        path = inclusion_by_tiles(at, size, index.roots, lambda tile: known[tile][1])
        one = Proof(known[at // TILE_WIDTH][0][at % TILE_WIDTH], at, path, signed)
        if not one.holds_in(checkpoint):
            raise ToolError(
                "not_trusted",
                f"record {at} is not the one that the notary signed: run `plantops audit verify`",
            )
        made.append(one)
    return made


def _is_about(made: Proof, command: str) -> bool:
    record = _read(made.entry)
    return record is not None and record.command == command


def _told(made: Proof) -> ProofGiven:
    record = _read(made.entry)
    return ProofGiven(
        index=made.index,
        writer="" if record is None else record.writer,
        kind="" if record is None else record.kind,
        at=None if record is None else record.at,
        proof=proof.encode(made).decode(),
    )


def _read(entry: bytes) -> AuditRecord | None:
    try:
        return read_unverified(entry)
    except MalformedEnvelope:
        return None


class AuditTile(Arguments, frozen=True):
    """Which file of the log."""

    path: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            description="As C2SP tlog-tiles names it, such as tile/0/000 or tile/entries/x001/067.p/12.",
        ),
    ]


class TileGiven(Record, frozen=True):
    """A tile's `hashes` or a bundle's `entries`, in order, each in Base64. `size` records are covered now.

    The file of a tile is its hashes one behind the other; that of a bundle has two bytes with the length
    before each entry, big-endian.
    """

    path: str
    size: int
    hashes: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()


async def audit_tile(call: Call, asked: AuditTile) -> Page[TileGiven]:
    """A file of the log as an export of what the newest checkpoint covers would have it.

    Raises: ToolError `not_found` when the log is shorter than that.
    """
    try:
        address = parse_path(asked.path)
    except ValueError as error:
        raise ToolError("bad_arguments", str(error)) from error
    _signed, checkpoint = await _newest(call)
    if not address.lies_in(checkpoint.size):
        raise ToolError(
            "not_found", f"{asked.path} lies behind the {checkpoint.size} records that are signed"
        )
    if address.level > 0:
        hashes: Sequence[bytes] = await _above(call, address, checkpoint.size)
        return Page(TileGiven(path=asked.path, size=checkpoint.size, hashes=_base64(hashes)))
    entries, leaves = await leaves_of(call.audit, address.number, address.number * TILE_WIDTH + address.width)
    if address.level == ENTRIES:
        page, following = cut(entries, call.cursor, call.rows)
        return Page(TileGiven(path=asked.path, size=checkpoint.size, entries=_base64(page)), next=following)
    return Page(TileGiven(path=asked.path, size=checkpoint.size, hashes=_base64(leaves)))


async def _above(call: Call, address: TileAddress, size: int) -> Sequence[bytes]:
    index = index_of(call.audit)
    await index.reach(size, call.timeout_seconds)
    return hashes_of(address, index.roots)


def _base64(parts: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(base64.b64encode(part).decode() for part in parts)


AUDIT_CHECKPOINT: Final = Tool(
    name="audit-checkpoint",
    description=(
        "The newest checkpoint of the audit log: how many records the notary and the witnesses vouch for."
    ),
    risk="low",
    arguments=AuditCheckpoint,
    result=CheckpointGiven,
    work=audit_checkpoint,
    exact=("note",),
    timeout_seconds=_SECONDS,
)

AUDIT_PROOF: Final = Tool(
    name="audit-proof",
    description=(
        "Proofs that the audit log holds the records about a command. Anybody can check them with the "
        "notary's key, without access to this site."
    ),
    risk="low",
    arguments=AuditProof,
    result=ProofsGiven,
    work=audit_proof,
    items="proofs",
    exact=("proofs",),
    timeout_seconds=_SECONDS,
)

AUDIT_TILE: Final = Tool(
    name="audit-tile",
    description="A tile or a bundle of records of the audit log, for whoever verifies it (C2SP tlog-tiles).",
    risk="medium",
    arguments=AuditTile,
    result=TileGiven,
    work=audit_tile,
    items="entries",
    exact=("hashes", "entries"),
    timeout_seconds=_SECONDS,
)
