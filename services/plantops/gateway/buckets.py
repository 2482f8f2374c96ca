"""Token buckets that all workers of one machine share: a table in a file that each of them maps.

A bucket is one number, the moment until which it is paid for (the generic cell rate algorithm: ITU-T I.371,
annex A): a request is one step of 60 / `per_minute` seconds, and at most `burst` steps may be owed. Moments
are of the monotonic clock, which all processes of a machine read alike. A worker that dies leaves no lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from plantops.gateway.settings import RateSettings

WAYS: Final = 8
_SLOT: Final = struct.Struct("<8sd")
_SET_BYTES: Final = _SLOT.size * WAYS
_NOBODY: Final = bytes(8)


@dataclass
class Buckets:
    """One table. `sets` times eight names have a bucket of their own; make it with `open`.

    When the eight places of a set are all owing, a name without a place shares the one that owes least: a
    flood of names makes no room for itself by pushing others out.
    """

    rate: RateSettings
    sets: int
    clock: Callable[[], float]
    _handle: int
    _map: mmap.mmap

    @classmethod
    def open(
        cls, path: Path, rate: RateSettings, *, sets: int = 1024, clock: Callable[[], float] = time.monotonic
    ) -> Buckets:
        """Map the table in `path`, which is made when it is not there."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(handle, sets * _SET_BYTES)
        return cls(rate, sets, clock, handle, mmap.mmap(handle, sets * _SET_BYTES))

    def take(self, name: str) -> float:
        """0 when there was a token for `name`, which is gone now; else the seconds until there is one."""
        return self._step(name, is_taken=True)

    def look(self, name: str) -> float:
        """As `take`, and nothing is taken."""
        return self._step(name, is_taken=False)

    def _step(self, name: str, *, is_taken: bool) -> float:
        tag = hashlib.blake2b(name.encode(), digest_size=8).digest()
        start = int.from_bytes(tag, "little") % self.sets * _SET_BYTES
        step = 60.0 / self.rate.per_minute
        fcntl.lockf(self._handle, fcntl.LOCK_EX, _SET_BYTES, start)
        try:
            now = self.clock()
            place, paid_until = self._place(start, tag, now)
            # A clock that began anew with the machine: nothing can be owed for longer than the whole burst.
            owed = min(max(paid_until - now, 0.0), step * self.rate.burst)
            wait = owed + step - step * self.rate.burst
            if wait > step * 1e-6:
                return wait
            if is_taken:
                _SLOT.pack_into(self._map, place, tag, now + owed + step)
            return 0.0
        finally:
            fcntl.lockf(self._handle, fcntl.LOCK_UN, _SET_BYTES, start)

    def _place(self, start: int, tag: bytes, now: float) -> tuple[int, float]:
        """Where this name counts, and until when it is paid."""
        least: tuple[float, int] | None = None
        for place in range(start, start + _SET_BYTES, _SLOT.size):
            found, paid_until = _SLOT.unpack_from(self._map, place)
            if found == tag:
                return place, paid_until
            owes = paid_until if found != _NOBODY and paid_until > now else 0.0
            if least is None or owes < least[0]:
                least = (owes, place)
        assert least is not None
        return least[1], least[0]

    def close(self) -> None:
        """Give the map back; the file stays."""
        self._map.close()
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
