"""Snapshots of a fold: one bucket per processor, one owner at a time, signed, in chunks.

Every write expects the last sequence of the whole bucket. So whoever claims it shuts out an owner before
him, with all that the older one may still have on its way. The bucket holds `owner` (who claimed it),
`meta` (small and signed, with the digests of the chunks) and `chunk-<slot>-<number>`; two slots take
turns, so that a crash in between leaves the last whole snapshot as it was.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog

from plantops.events.envelope import SIGNATURE, Message
from plantops.flow.bus import Bus, Stored
from plantops.flow.declaration import snapshot_stream, snapshot_subject
from plantops.ledger.dsse import detached, verify_detached
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import Conflict, Fenced, IntegrityError, TrustError

log = structlog.get_logger()

CHUNK_BYTES: Final = 512 * 1024
OWNER: Final = "plantops-owner"
"""Header: which run of a process wrote this."""
_TYPE: Final = "application/vnd.plantops.snapshot.v1+msgpack"
_CLAIMS: Final = 5


class SnapshotDamaged(IntegrityError):
    """A snapshot cannot be believed: rebuild from the log."""


@dataclass(slots=True)
class Snapshot:
    """A state and what it stands for: input positions and clamped times, own stored events, streams."""

    positions: dict[str, int] = field(default_factory=dict)
    clocks: dict[str, int] = field(default_factory=dict)
    created: dict[str, str] = field(default_factory=dict)
    own: int = 0
    state: bytes = b""


class Cutter:
    """Makes chunks of what comes in pieces. Copying a large state as a whole would take long."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._rest: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        """Append."""
        view = memoryview(piece)
        while self._size + len(view) >= CHUNK_BYTES:
            head = CHUNK_BYTES - self._size
            self._chunks.append(b"".join([*self._rest, view[:head]]))
            view, self._rest, self._size = view[head:], [], 0
        self._rest.append(bytes(view))
        self._size += len(view)

    def chunks(self) -> list[bytes]:
        """All that was added, in order."""
        rest = b"".join(self._rest)
        return [*self._chunks, rest] if rest else list(self._chunks)


def cut(state: bytes) -> list[bytes]:
    """A state in chunks."""
    cutter = Cutter()
    cutter.add(state)
    return cutter.chunks()


class _Meta(msgspec.Struct, frozen=True):
    processor: str
    version: int
    slot: int
    positions: dict[str, int]
    clocks: dict[str, int]
    created: dict[str, str]
    own: int
    chunks: tuple[bytes, ...]


class SnapshotStore:
    """The bucket of one processor, seen by one run of it. Claim before anything else."""

    def __init__(self, bus: Bus, processor: str, version: int, key: SigningKey) -> None:
        self._bus, self._processor, self._version, self._key = bus, processor, version, key
        self._stream = snapshot_stream(processor)
        self._all = snapshot_subject(processor, ">")
        self.token: Final = secrets.token_hex(12)
        self._last = 0
        self._slot: int | None = None  # that of the stored meta; None when not known for sure

    async def claim(self) -> None:
        """Become the owner; an older one is fenced from now on. Raises: Fenced, BrokerUnavailable."""
        for _attempt in range(_CLAIMS):
            stored = await self._bus.last(self._stream, self._all)
            self._last = stored.sequence if stored else 0
            try:
                await self._put("owner", self.token.encode())
            except Conflict:
                continue
            return
        raise self._fenced()

    async def require_owner(self) -> None:
        """Raises: Fenced when somebody has claimed the bucket since, BrokerUnavailable."""
        stored = await self._bus.last(self._stream, self._all)
        if stored is None or stored.headers.get(OWNER) != self.token:
            raise self._fenced()

    async def load(self) -> Snapshot | None:
        """The last whole snapshot; None when there is none of this version. Raises: SnapshotDamaged."""
        stored = await self._bus.last(self._stream, snapshot_subject(self._processor, "meta"))
        if stored is None:
            return None
        meta = self._verified(stored)
        if meta.version != self._version:
            log.info("snapshot.outdated", processor=self._processor, found=meta.version, wanted=self._version)
            return None
        state = b"".join([await self._chunk(meta, number) for number in range(len(meta.chunks))])
        return Snapshot(meta.positions, meta.clocks, meta.created, meta.own, state)

    async def save(self, snapshot: Snapshot, chunks: Sequence[bytes] | None = None) -> None:
        """Write it, chunks first; `chunks` are its state when that is cut already (see `Cutter`).

        Raises: Fenced when another owner took over, BrokerUnavailable.
        """
        slot = 1 - (await self._stored_slot() if self._slot is None else self._slot)
        digests = list[bytes]()
        for chunk in cut(snapshot.state) if chunks is None else chunks:
            await self._own_put(f"chunk-{slot}-{len(digests)}", chunk)
            digests.append(hashlib.sha256(chunk).digest())
        meta = _Meta(
            self._processor,
            self._version,
            slot,
            snapshot.positions,
            snapshot.clocks,
            snapshot.created,
            snapshot.own,
            tuple(digests),
        )
        data = msgspec.msgpack.encode(meta)
        self._slot = None
        await self._own_put("meta", data, detached(_TYPE, data, self._key))
        self._slot = slot

    async def _stored_slot(self) -> int:
        stored = await self._bus.last(self._stream, snapshot_subject(self._processor, "meta"))
        try:
            return self._verified(stored).slot if stored else 0
        except SnapshotDamaged:
            return 0  # nothing there that could be lost

    async def _own_put(self, key: str, data: bytes, signature: str = "") -> None:
        """Put; a conflict with what this run itself wrote, unheard, is none. Raises: Fenced."""
        try:
            await self._put(key, data, signature)
        except Conflict as conflict:
            stored = await self._bus.last(self._stream, self._all)
            if stored is None or stored.headers.get(OWNER) != self.token:
                raise self._fenced() from conflict
            self._last = stored.sequence
            await self._put(key, data, signature)

    async def _put(self, key: str, data: bytes, signature: str = "") -> None:
        headers = {OWNER: self.token} | ({SIGNATURE: signature} if signature else {})
        self._last = await self._bus.publish(
            Message(snapshot_subject(self._processor, key), data, headers),
            stream=self._stream,
            expected_last=self._last,
            expected_subject=self._all,
        )

    def _verified(self, stored: Stored) -> _Meta:
        trusted = {self._key.keyid: self._key.public}
        try:
            verify_detached(stored.headers.get(SIGNATURE, ""), _TYPE, stored.data, trusted)
            meta = msgspec.msgpack.decode(stored.data, type=_Meta)
        except (TrustError, msgspec.DecodeError) as error:
            raise self._damaged(str(error)) from error
        if meta.processor != self._processor:
            raise self._damaged(f"it is one of {meta.processor!r}")
        return meta

    async def _chunk(self, meta: _Meta, number: int) -> bytes:
        subject = snapshot_subject(self._processor, f"chunk-{meta.slot}-{number}")
        stored = await self._bus.last(self._stream, subject)
        if stored is None or hashlib.sha256(stored.data).digest() != meta.chunks[number]:
            raise self._damaged(f"chunk {number} of {len(meta.chunks)} is not the one that was signed")
        return stored.data

    def _damaged(self, why: str) -> SnapshotDamaged:
        return SnapshotDamaged(
            f"the snapshot of {self._processor!r} cannot be used: {why}; it is rebuilt from the log",
            path=self._stream,
        )

    def _fenced(self) -> Fenced:
        return Fenced(
            f"another run of {self._processor!r} has taken over: this one stops",
            stream=self._stream,
            owned=self._processor,
        )
