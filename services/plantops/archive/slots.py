"""Dense numbers for sparse integer keys, many at once: open addressing in whole arrays."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Keys: TypeAlias = NDArray[np.int64]
Places: TypeAlias = NDArray[np.intp]

_EMPTY: Final = np.iinfo(np.int64).min
_SMALLEST: Final = 10
# 2**64 divided by the golden ratio: neighbouring keys land far apart (Knuth, TAOCP 3, 6.4).
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)


class Slots:
    """Gives each key the next free slot, counted from 0. A key is never the smallest int64."""

    def __init__(self, keys: Keys | None = None) -> None:
        """`keys`, which are distinct, get the slots 0, 1, ... in their order."""
        self._keys: Keys = np.zeros(0, np.int64) if keys is None else keys.copy()
        self._count = len(self._keys)
        self._rebuild(self._count)

    def __len__(self) -> int:
        return self._count

    @property
    def keys(self) -> Keys:
        """The keys in the order of their slots."""
        return self._keys[: self._count]

    def place(self, keys: Keys) -> Places:
        """The slot of every key; a key without one gets the next. The keys may repeat."""
        slots = np.empty(len(keys), np.intp)
        missing = self._find(keys, slots)
        if len(missing):
            if 2 * (self._count + len(missing)) > len(self._table):
                self._rebuild(self._count + len(missing))
            self._insert(keys, missing, slots)
        return slots

    def _find(self, keys: Keys, slots: Places) -> Places:
        """Fill the slots of the keys that have one; the indices of the others."""
        at = self._start(keys)
        held = self._table[at]
        here = held == keys
        np.take(self._slots, at, out=slots)
        if here.all():
            return np.zeros(0, np.intp)
        absent = [np.flatnonzero(held == _EMPTY)]
        todo = np.flatnonzero(~here & (held != _EMPTY))
        at = at[todo]
        while len(todo):
            at = (at + 1) & self._mask
            held = self._table[at]
            here = held == keys[todo]
            slots[todo[here]] = self._slots[at[here]]
            absent.append(todo[held == _EMPTY])
            rest = ~here & (held != _EMPTY)
            todo, at = todo[rest], at[rest]
        return np.concatenate(absent)

    def _insert(self, keys: Keys, todo: Places, slots: Places) -> None:
        at = self._start(keys[todo])
        while len(todo):
            free = self._table[at] == _EMPTY
            if free.any():
                self._claim(at[free], keys[todo[free]])
            here = self._table[at] == keys[todo]
            slots[todo[here]] = self._slots[at[here]]
            todo, at = todo[~here], (at[~here] + 1) & self._mask

    def _claim(self, at: Places, keys: Keys) -> None:
        """Let one of the keys that want the same free cell have it, whichever numpy stores."""
        self._table[at] = keys
        mine = np.arange(len(at))
        self._slots[at] = mine
        won = at[self._slots[at] == mine]
        end = self._count + len(won)
        self._slots[won] = np.arange(self._count, end)
        if end > len(self._keys):
            grown = np.empty(max(end, 2 * len(self._keys)), np.int64)
            grown[: self._count] = self.keys
            self._keys = grown
        self._keys[self._count : end] = self._table[won]
        self._count = end

    def _start(self, keys: Keys) -> Places:
        return ((keys.view(np.uint64) * _SPREAD) >> self._shift).view(np.intp)

    def _rebuild(self, expected: int) -> None:
        """An empty table with room for twice what is expected, and the known keys put in again."""
        bits = max(_SMALLEST, (2 * expected).bit_length() + 1)
        self._mask = (1 << bits) - 1
        self._shift = np.uint64(64 - bits)
        self._table = np.full(1 << bits, _EMPTY, np.int64)
        self._slots = np.zeros(1 << bits, np.intp)
        at, todo = self._start(self.keys), np.arange(self._count)
        while len(todo):
            free = self._table[at] == _EMPTY
            self._table[at[free]] = self.keys[todo[free]]
            here = self._table[at] == self.keys[todo]
            self._slots[at[here]] = todo[here]
            todo, at = todo[~here], (at[~here] + 1) & self._mask
