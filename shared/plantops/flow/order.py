"""What one input must not be decided without, where another input has it already."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from plantops.flow.bus import Bus, Stored
from plantops.flow.inlet import Inlet
from plantops.flow.processor import Awaits
from plantops.flow.reading import UNUSABLE, EventReader


class Order:
    """Holds back the facts of one stream until what they await is folded.

    Inputs are followed beside each other, and after a restart one of them may be far behind. Whether
    something is there is asked of the broker, who stored it before the fact was decided upon.
    """

    def __init__(self, processor: Awaits, bus: Bus, reader: EventReader, inlets: Sequence[Inlet]) -> None:
        self._processor, self._bus, self._reader = processor, bus, reader
        self._inlets: Final[Mapping[str, Inlet]] = {inlet.reads.stream: inlet for inlet in inlets}
        self._folded = asyncio.Event()

    def moved(self) -> None:
        """Something was folded."""
        self._folded.set()
        self._folded = asyncio.Event()

    async def wait(self, inlet: Inlet, delivered: Sequence[Stored]) -> None:
        """Returns when all that these messages await is folded. Raises: BrokerUnavailable, StreamMissing."""
        if inlet.reads.stream != self._processor.awaiting:
            return
        for stored in delivered:
            try:
                fact, _signer = await self._reader.read(stored)
            except UNUSABLE:
                continue  # it is buried when it is folded
            for stream, subject in self._processor.awaited(fact):
                found = await self._bus.last(stream, subject)
                while found is not None and self._inlets[stream].position < found.sequence:
                    await self._folded.wait()
