"""The names in our checkpoints, and reading them from their stream.

The note is signed as `plantops/<site>`; the origin adds the log's random id, so that a log that was deleted
and created again is another one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from plantops.events import EventUnreadable, decode
from plantops.events.operations import CheckpointRefused, CheckpointSigned
from plantops.events.subjects import checkpoint as checkpoint_subject
from plantops.flow.bus import Bus, Stored
from plantops.ledger import checkpoint, note
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.keys import RevokedKey, VerifyKey
from plantops.ledger.note import NoteKey
from plantops.runtime.errors import IntegrityError, MalformedEnvelope, TrustError, UntrustedKey

STREAM: Final = "CHECKPOINTS"
_LOG_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


class SignedAfterRevocation(UntrustedKey):
    """The key that signed was revoked at a smaller size of the log."""


def key_name(site: str) -> str:
    """The name under which a site's notary signs."""
    return f"plantops/{site}"


def new_origin(site: str) -> str:
    """A name that no log had before."""
    return f"{key_name(site)}/{secrets.token_hex(16)}"


def open_checkpoint(signed: bytes, site: str, keys: Sequence[VerifyKey]) -> Checkpoint:
    """The checkpoint of a log of this site, signed by one of `keys`.

    Raises: TrustError when it is none, of another site, or signed by nobody here.
    """
    if not keys:
        raise UntrustedKey(f"no key of a notary of {site!r} is known: give one to a process in the policy")
    refusals: list[UntrustedKey] = []
    for key in keys:
        try:
            found = _signed_by(signed, site, key)
            break
        except UntrustedKey as error:
            refusals.append(error)
    else:
        # That a known key signed too late says more than that the others did not sign.
        raise max(refusals, key=lambda error: isinstance(error, SignedAfterRevocation))
    name, _, log_id = found.origin.rpartition("/")
    if name != key_name(site) or _LOG_ID.fullmatch(log_id) is None:
        raise MalformedEnvelope(f"the checkpoint is of {found.origin!r}, no log of site {site!r}")
    return found


def _signed_by(signed: bytes, site: str, key: VerifyKey) -> Checkpoint:
    found = checkpoint.parse(note.open_note(signed, NoteKey(key_name(site), key)))
    if isinstance(key, RevokedKey) and found.size > key.until:
        raise SignedAfterRevocation(
            f"the checkpoint over {found.size} records is signed with key {key.keyid}, which was revoked "
            f"when the log had {key.until}",
            keyids=(key.keyid,),
        )
    return found


@dataclass(frozen=True, slots=True)
class Noted:
    """What stands on the stream: its sequence, the last signed note, and whether signing was refused."""

    sequence: int
    note: bytes
    refused: CheckpointRefused | None = None


def read_noted(stored: Stored) -> Noted:
    """Raises: IntegrityError when it is no event of a notary."""
    try:
        event = decode(stored.data)
    except EventUnreadable as error:
        raise _stranger(stored, str(error)) from error
    match event:
        case CheckpointSigned():
            return Noted(stored.sequence, event.note.encode())
        case CheckpointRefused():
            return Noted(stored.sequence, event.note.encode(), event)
        case _:
            raise _stranger(stored, f"it is a {type(event).__name__}")


async def last_noted(bus: Bus, site: str) -> Noted:
    """The newest; sequence 0 and no note before the first. Raises: IntegrityError, BrokerUnavailable."""
    stored = await bus.last(STREAM, checkpoint_subject(site))
    return Noted(0, b"") if stored is None else read_noted(stored)


def trusted_checkpoint(noted: Noted, site: str, keys: Sequence[VerifyKey]) -> Checkpoint | None:
    """Its checkpoint, None before the first. Raises: IntegrityError when it cannot be believed."""
    if not noted.note:
        return None
    try:
        return open_checkpoint(noted.note, site, keys)
    except TrustError as error:
        raise IntegrityError(
            f"checkpoint {noted.sequence} of {STREAM} is not believed: {error.message}", path=STREAM
        ) from error


def _stranger(stored: Stored, why: str) -> IntegrityError:
    return IntegrityError(
        f"message {stored.sequence} on {stored.subject!r} is no checkpoint ({why}): look who wrote it",
        path=stored.stream,
    )
