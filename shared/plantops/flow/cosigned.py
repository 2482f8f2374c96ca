"""The newest checkpoint with what witnesses have said of it."""

from __future__ import annotations

import asyncio
from typing import Final

from plantops.events import EventUnreadable, decode
from plantops.events.operations import CheckpointCosigned, CheckpointDisputed
from plantops.flow.bus import Bus
from plantops.flow.checkpoints import last_noted
from plantops.ledger import note
from plantops.ledger.checkpoint import parse
from plantops.ledger.cosignature import gathered
from plantops.runtime.errors import IntegrityError, MalformedEnvelope

STREAM: Final = "COSIGNATURES"
PATIENCE_SECONDS: Final = 3.0
_POLL_SECONDS: Final = 0.1


async def newest_note(bus: Bus, site: str) -> bytes:
    """The last signed note, with the cosignatures over it.

    A witness that ever spoke is waited for, in vain for 3 s at most; what it has cosigned by
    then takes the place of the last note if it is newer. Nothing is believed here. Raises: IntegrityError
    when nothing was ever signed; BrokerError.
    """
    noted = await last_noted(bus, site)
    if not noted.note:
        raise IntegrityError(f"nothing of site {site!r} was signed yet: is the notary running?", path="AUDIT")
    size = claimed_size(noted.note)
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_SECONDS
    while True:
        others = await cosigned_notes(bus, site)
        newest = max(others, key=claimed_size, default=b"")
        if newest and claimed_size(newest) >= size:
            return gathered(newest, noted.note, *others)
        if not others or loop.time() >= until:
            return noted.note
        await asyncio.sleep(_POLL_SECONDS)


async def cosigned_notes(bus: Bus, site: str) -> list[bytes]:
    """The last note that each witness has cosigned; what is none is left out. Raises: BrokerError."""
    # A subject for each witness, and the stream keeps the last message of each.
    state = await bus.state(STREAM)
    found = []
    for stored in await bus.history(
        STREAM, f"cosignature.{site}.*", state.first, _count(state.first, state.last)
    ):
        event = _event(stored.data)
        if isinstance(event, CheckpointCosigned) and _is_note(event.note.encode()):
            found.append(event.note.encode())
    return found


async def disputes(bus: Bus, site: str) -> list[CheckpointDisputed]:
    """What witnesses have last refused. Raises: BrokerError."""
    state = await bus.state(STREAM)
    stored = await bus.history(STREAM, f"dispute.{site}.*", state.first, _count(state.first, state.last))
    return [event for event in (_event(one.data) for one in stored) if isinstance(event, CheckpointDisputed)]


def claimed_size(signed: bytes) -> int:
    """What a note says; whether to believe it is for whoever verifies. Raises: IntegrityError."""
    try:
        return parse(note.parse(signed)[0]).size
    except MalformedEnvelope as error:
        raise IntegrityError(f"the last checkpoint cannot be read: {error}", path="CHECKPOINTS") from error


def _is_note(signed: bytes) -> bool:
    try:
        claimed_size(signed)
    except IntegrityError:
        return False
    return True


def _event(data: bytes) -> object:
    try:
        return decode(data)
    except EventUnreadable:
        return None


def _count(first: int, last: int) -> int:
    return max(1, min(last - first + 1, 256))
