"""A whole block at once: what is where in a reply is worked out when the block is planned, not per cycle."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

import numpy as np

from plantops.adapters.modbus.address import Address
from plantops.adapters.modbus.codec import GOOD, Reading, byte_order, real, swap_bytes
from plantops.events.frames import Sample


@dataclass(frozen=True, slots=True)
class Wanted:
    """One sample of a block: its place in the answer, the tag's position, and how to read it."""

    place: int
    tag: int
    address: Address
    convert: Callable[[Any], Reading] | None


_Field: TypeAlias = tuple[int, str]
"""Offset in bytes and form of a value in the struct module."""


class BlockDecoder:
    """Turns the bytes of a reply into samples; `length` counts registers or bits, `size` bytes."""

    def __init__(self, start: int, length: int, wanted: Iterable[Wanted], *, is_bits: bool) -> None:
        self.size = (length + 7) // 8 if is_bits else 2 * length
        self._layers: list[tuple[bool, struct.Struct]] = []
        tags = list(wanted)
        self.wanted = tuple((each.place, each.tag) for each in tags)
        if is_bits:
            positions = [each.address.start - start for each in tags]
        else:
            positions = self._lay_out(start, [each.address for each in tags])
        pairs = list(zip(positions, tags, strict=True))
        self._is_bits = is_bits
        self._plain = [(at, each.place, each.tag) for at, each in pairs if each.convert is None]
        # Floats that stand for themselves are frequent and nearly always finite: no call for those.
        self._reals = [(at, each.place, each.tag) for at, each in pairs if each.convert is real]
        self._converted = [
            (at, each.place, each.tag, each.convert)
            for at, each in pairs
            if each.convert is not None and each.convert is not real
        ]

    def _lay_out(self, start: int, addresses: Sequence[Address]) -> list[int]:
        """Put each value into a struct that reads many at once; gives the place of each in the result.

        Values that overlap go to different structs; values in the same form at the same place are one.
        """
        by_order: dict[tuple[bool, str], set[_Field]] = {}
        keys = []
        for address in addresses:
            field = (2 * (address.start - start), address.code)
            keys.append((byte_order(address.order), field))
            by_order.setdefault(byte_order(address.order), set()).add(field)
        place: dict[tuple[tuple[bool, str], _Field], int] = {}
        for order, fields in by_order.items():
            for layer in _layers(sorted(fields)):
                for field in layer:
                    place[order, field] = len(place)
                self._layers.append((order[0], _compiled(order[1], layer)))
        return [place[key] for key in keys]

    def decode(self, data: bytes, answer: list[Sample | None]) -> None:
        """Put the samples into their places of `answer`; `data` has `size` bytes."""
        values = self._bits(data) if self._is_bits else self._numbers(data)
        for at, place, tag in self._plain:
            answer[place] = Sample(tag, values[at], GOOD)
        for at, place, tag in self._reals:
            number = values[at]
            answer[place] = Sample(tag, number, GOOD) if isfinite(number) else Sample(tag, *real(number))
        for at, place, tag, convert in self._converted:
            value, quality = convert(values[at])
            answer[place] = Sample(tag, value, quality)

    def _numbers(self, data: bytes) -> Sequence[Any]:
        swapped = swap_bytes(data) if any(swap for swap, _layer in self._layers) else data
        values: list[Any] = []
        for swap, layer in self._layers:
            values += layer.unpack_from(swapped if swap else data)
        return values

    def _bits(self, data: bytes) -> Sequence[Any]:
        values: list[bool] = np.unpackbits(np.frombuffer(data, "u1"), bitorder="little").astype(bool).tolist()
        return values


def _layers(fields: Sequence[_Field]) -> list[list[_Field]]:
    layers: list[list[_Field]] = []
    ends: list[int] = []
    for field in fields:
        end = field[0] + struct.calcsize(f">{field[1]}")
        for number, taken in enumerate(ends):
            if taken <= field[0]:
                layers[number].append(field)
                ends[number] = end
                break
        else:
            layers.append([field])
            ends.append(end)
    return layers


def _compiled(endian: str, layer: Sequence[_Field]) -> struct.Struct:
    form, end = endian, 0
    for offset, code in layer:
        form += f"{offset - end}x{code}" if offset > end else code
        end = offset + struct.calcsize(f">{code}")
    return struct.Struct(form)
