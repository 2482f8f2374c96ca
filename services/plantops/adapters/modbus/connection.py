"""One Modbus TCP device behind the adapter contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from plantops.adapters.contract import Browsed, Secrets, Sink
from plantops.adapters.modbus.address import Address, Area, parse
from plantops.adapters.modbus.block import BlockDecoder, Wanted
from plantops.adapters.modbus.codec import MAX_WRITE_REGISTERS, Wire, converter, encode
from plantops.adapters.modbus.config import ModbusSettings
from plantops.adapters.modbus.link import Link
from plantops.adapters.modbus.pdu import (
    EXCEPTION_BIT,
    exception_text,
    is_echo,
    read_data,
    read_request,
    write_request,
)
from plantops.adapters.modbus.turn import Rank, Turns
from plantops.adapters.planner import Block, BlockPlanner, Patience, Span, split
from plantops.events.base import Scalar
from plantops.events.frames import Sample
from plantops.events.quality import Quality
from plantops.events.tags import SourceDefined, TagDefinition
from plantops.runtime.errors import (
    DeviceError,
    DeviceProtocolError,
    DeviceUnavailable,
    SettingsError,
    WriteRejected,
)

# Exception codes (Modbus Application Protocol 1.1b3, 7).
_ILLEGAL_FUNCTION = 1
_DEVICE_FAILURE = 4
_NOT_YET = (5, 6)
_BEHIND_GATEWAY = (10, 11)
_QUALITIES = {
    _ILLEGAL_FUNCTION: Quality.BAD_CONFIGURATION,
    2: Quality.BAD_CONFIGURATION,
    3: Quality.BAD_CONFIGURATION,
    _DEVICE_FAILURE: Quality.BAD_DEVICE_FAILURE,
    5: Quality.BAD_WAITING,
    6: Quality.BAD_WAITING,
}
# With these it is certain that nothing was written; a failure (4), an acknowledge (5) or a silent device
# behind a gateway (11) may come after the write.
_NOTHING_WRITTEN = (1, 2, 3, 6, 10)
# A failed device may be mended soon; an address that does not exist needs a person.
_PATIENCE = {_DEVICE_FAILURE: Patience(first=5.0, longest=60.0)}
_PLANS_KEPT = 64


@dataclass(frozen=True, slots=True)
class _Prepared:
    """How to read one list of tags while the planner has the same `version`."""

    version: int
    blocks: tuple[tuple[Block, BlockDecoder], ...]
    refused: tuple[Span, ...]
    places: dict[int, list[int]]
    template: list[Sample | None]


class ModbusConnection:
    """See `Connection`; tags are read in blocks, writes go between two blocks of a running read."""

    def __init__(self, definition: SourceDefined, settings: ModbusSettings, timeout_seconds: float) -> None:
        self._tags = definition.tags
        self._source = definition.source
        self._settings = settings
        self._timeout = timeout_seconds
        self._addresses = tuple(_checked(tag, settings) for tag in definition.tags)
        self._converters = [
            converter(address, tag) for address, tag in zip(self._addresses, definition.tags, strict=True)
        ]
        self._registers = BlockPlanner(gap=settings.gap, longest=settings.max_registers)
        self._bits = BlockPlanner(gap=16 * settings.gap, longest=settings.max_bits)
        self._prepared: dict[tuple[int, ...], _Prepared] = {}
        self._turns = Turns()
        self._link: Link | None = None

    async def connect(self) -> None:
        await self.close()
        link = Link(self._source, self._settings, self._timeout)
        await link.open()
        self._link = link

    async def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()
            # The transport gives its socket back in the next round of the loop.
            await asyncio.sleep(0)

    async def read(self, tags: Sequence[int]) -> list[Sample]:
        prepared = self._prepare(tuple(tags))
        answer = list(prepared.template)
        for block, decoder in prepared.blocks:
            await self._fetch(block, decoder, prepared.places, answer)
        for span in self._due(prepared.refused):
            alone = Block(span.area, span.start, span.length, (span,))
            if await self._fetch(alone, self._decoder(alone, prepared.places), prepared.places, answer):
                self._planner(span.area).accept(span)
        samples = [sample for sample in answer if sample is not None]
        assert len(samples) == len(answer), "every block fills its places"
        return samples

    def encode(self, tag: int, value: Scalar) -> str:
        return self._wire(tag, value).text

    async def write(self, tag: int, value: Scalar) -> None:
        request = write_request(self._wire(tag, value))
        name = self._tags[tag].name
        reply = await self._ask(Rank.WRITE, request)
        if reply[0] & EXCEPTION_BIT:
            told = f"device {self._settings.host} answered the write of tag {name!r} with"
            text = f"{told} {exception_text(reply[1])}"
            if reply[1] in _NOTHING_WRITTEN:
                raise WriteRejected(text, source=self._source, tag=name, code=reply[1])
            raise DeviceError(
                f"{text}: it may have been written, read it back", source=self._source, tag=name
            )
        if not is_echo(request, reply):
            raise self._broken(f"the reply to the write of tag {name!r} does not repeat the request")

    async def subscribe(self, sink: Sink) -> None:
        raise NotImplementedError("Modbus has no subscription: see Capabilities")

    def browse(self) -> AsyncIterator[Browsed]:
        raise NotImplementedError("Modbus has no browsing: see Capabilities")

    def _wire(self, tag: int, value: Scalar) -> Wire:
        return encode(self._addresses[tag], self._tags[tag], value)

    async def _ask(self, rank: Rank, request: bytes) -> bytes:
        async with self._turns.turn(rank):
            if self._link is None:
                raise DeviceUnavailable(
                    f"device {self._settings.host} is not connected: connect first", source=self._source
                )
            return await self._link.request(request)

    async def _fetch(
        self, block: Block, decoder: BlockDecoder, places: dict[int, list[int]], answer: list[Sample | None]
    ) -> bool:
        """Fill the places of a block; whether the device answered it as a whole."""
        reply = await self._ask(Rank.READ, read_request(Area(block.area), block.start, block.length))
        if not reply[0] & EXCEPTION_BIT:
            data = read_data(reply, decoder.size)
            if data is None:
                raise self._broken(f"a reply of {len(reply)} bytes where {decoder.size + 2} were due")
            decoder.decode(data, answer)
            return True
        code = reply[1]
        if code in _BEHIND_GATEWAY:
            raise DeviceUnavailable(
                f"device {self._settings.host} unit {self._settings.unit}: {exception_text(code)}",
                source=self._source,
            )
        if code not in _NOT_YET and code != _ILLEGAL_FUNCTION and len(block.spans) > 1:
            await self._halve(block, places, answer)
            return False
        quality = _quality(code)
        for span in block.spans:
            if code not in _NOT_YET:
                self._planner(span.area).refuse(span, code, _now(), _PATIENCE.get(code, Patience()))
            for place in places[span.key]:
                answer[place] = Sample(span.key, None, quality)
        return False

    async def _halve(self, block: Block, places: dict[int, list[int]], answer: list[Sample | None]) -> None:
        left, right = split(block)
        answered = [
            await self._fetch(half, self._decoder(half, places), places, answer) for half in (left, right)
        ]
        if all(answered):
            self._planner(block.area).cut(right)

    def _prepare(self, tags: tuple[int, ...]) -> _Prepared:
        version = self._registers.version + self._bits.version
        known = self._prepared.get(tags)
        if known is not None and known.version == version:
            return known
        places: dict[int, list[int]] = {}
        for place, tag in enumerate(tags):
            places.setdefault(tag, []).append(place)
        spans = [self._span(tag) for tag in places]
        blocks: list[Block] = []
        refused: list[Span] = []
        for planner, is_bits in ((self._registers, False), (self._bits, True)):
            plan = planner.plan(span for span in spans if Area(span.area).is_bits == is_bits)
            blocks += plan.blocks
            refused += plan.refused
        template: list[Sample | None] = [None] * len(tags)
        for span in refused:
            quality = _quality(self._planner(span.area).code_of(span))
            for place in places[span.key]:
                template[place] = Sample(span.key, None, quality)
        decoders = tuple((block, self._decoder(block, places)) for block in blocks)
        prepared = _Prepared(version, decoders, tuple(refused), places, template)
        if len(self._prepared) >= _PLANS_KEPT:
            self._prepared.clear()
        self._prepared[tags] = prepared
        return prepared

    def _decoder(self, block: Block, places: dict[int, list[int]]) -> BlockDecoder:
        wanted = [
            Wanted(place, span.key, self._addresses[span.key], self._converters[span.key])
            for span in block.spans
            for place in places[span.key]
        ]
        return BlockDecoder(block.start, block.length, wanted, is_bits=Area(block.area).is_bits)

    def _due(self, refused: tuple[Span, ...]) -> list[Span]:
        if not refused:
            return []
        now = _now()
        return self._registers.due(refused, now) + self._bits.due(refused, now)

    def _span(self, tag: int) -> Span:
        address = self._addresses[tag]
        return Span(address.area, address.start, address.cells, tag)

    def _planner(self, area: str) -> BlockPlanner:
        return self._bits if Area(area).is_bits else self._registers

    def _broken(self, reason: str) -> DeviceProtocolError:
        """The bytes cannot be trusted any more, nor can those that follow."""
        if self._link is not None:
            self._link.close()
        return DeviceProtocolError(f"device {self._settings.host}: {reason}", source=self._source)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _quality(code: int) -> int:
    return int(_QUALITIES.get(code, Quality.BAD))


def _checked(tag: TagDefinition, settings: ModbusSettings) -> Address:
    """Raises: SettingsError for what the address alone does not show."""
    address = parse(tag.address)
    reason = None
    if tag.writable and (not address.area.is_writable or address.type == "bit"):
        reason = "it cannot be written: Modbus writes coils and whole holding registers only"
    elif tag.writable and address.cells > MAX_WRITE_REGISTERS:
        reason = f"one request writes at most {MAX_WRITE_REGISTERS} registers"
    elif not address.area.is_bits and address.cells > settings.max_registers:
        reason = f"it is longer than max_registers = {settings.max_registers}"
    elif tag.engineering is not None and tag.kind != "f8":
        reason = f"{address.type} cannot be scaled: leave out raw and engineering"
    elif tag.engineering is not None and tag.engineering.low == tag.engineering.high:
        reason = "the engineering range is empty"
    if reason is not None:
        raise SettingsError(f"tag {tag.name!r} ({tag.address}): {reason}", setting="tags")
    return address


def build(
    definition: SourceDefined, settings: ModbusSettings, timeout_seconds: float, secrets: Secrets
) -> ModbusConnection:
    """Raises: SettingsError. Modbus TCP has no credentials, so `secrets` is not asked."""
    del secrets
    return ModbusConnection(definition, settings, timeout_seconds)
