"""A device in this process, with everything that goes wrong in real ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext, suppress

import msgspec

from plantops.adapters.contract import (
    AdapterSpec,
    Browsed,
    Capabilities,
    Connection,
    Invoked,
    Secrets,
    Sink,
)
from plantops.events.base import Scalar
from plantops.events.command_parts import Invocation
from plantops.events.frames import Sample
from plantops.events.quality import Quality
from plantops.events.tags import Kind, SourceDefined
from plantops.runtime.errors import DeviceUnavailable, WriteRejected


class FakeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set."""


class FakeDevice:
    """Values by position. `is_away` refuses connections, `is_silent` never answers (half open)."""

    def __init__(self, values: dict[int, Scalar | None]) -> None:
        self.values = values
        self.bad: dict[int, int] = {}
        self.refused: set[int] = set()
        self.lost_after_write: set[int] = set()
        self.is_away = False
        self.is_silent = False
        self.loses_cancels = False
        """As `asyncio.wait_for` of Python 3.11 does when the answer comes in the same turn."""
        self.reads = 0
        self.written: list[tuple[int, Scalar]] = []
        self.connections = 0
        self.open = 0
        self.concurrent_requests = 0
        self.most_requests = 0
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.on_read: Callable[[], None] = lambda: None
        self.on_write: Callable[[int, Scalar], None] = self.values.__setitem__
        self.sink: Sink | None = None
        self.invoked: list[tuple[Invocation, str, bool]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.on_invoke: Callable[[], Invoked] = lambda: Invoked(state="completed")

    def adapter(
        self, *, subscribe: bool = False, concurrent: bool = False, write: bool = True, invoke: bool = True
    ) -> AdapterSpec:
        """An adapter whose connections all lead here."""

        def build(
            definition: SourceDefined, settings: object, timeout_seconds: float, secrets: Secrets
        ) -> Connection:
            return FakeConnection(self)

        return AdapterSpec(
            name="fake",
            settings=FakeSettings,
            capabilities=Capabilities(
                write=write, browse=True, subscribe=subscribe, concurrent=concurrent, invoke=invoke
            ),
            kind_of=_kind,
            build=build,
        )

    def sample(self, tag: int) -> Sample:
        """The tag as a read gives it now."""
        if tag in self.bad:
            return Sample(tag, None, self.bad[tag])
        return Sample(tag, self.values[tag], Quality.GOOD)


class FakeConnection:
    """See `Connection`."""

    def __init__(self, device: FakeDevice) -> None:
        self.device = device
        self.is_open = False

    async def connect(self) -> None:
        self.device.connections += 1
        if self.device.is_away:
            raise DeviceUnavailable("the fake device is away")
        self.is_open = True
        self.device.open += 1

    async def _request(self, may: asyncio.Event) -> None:
        device = self.device
        device.concurrent_requests += 1
        device.most_requests = max(device.most_requests, device.concurrent_requests)
        try:
            with suppress(asyncio.CancelledError) if device.loses_cancels else nullcontext():
                await may.wait()
            if device.is_silent:
                await asyncio.Event().wait()
        finally:
            device.concurrent_requests -= 1
        if device.is_away or not self.is_open:
            raise DeviceUnavailable("the fake device is gone")

    async def read(self, tags: Sequence[int]) -> list[Sample]:
        await self._request(self.device.may_read)
        self.device.reads += 1
        self.device.on_read()
        return [self.device.sample(tag) for tag in tags]

    def encode(self, tag: int, value: Scalar) -> str:
        if tag in self.device.refused:
            raise WriteRejected(f"tag {tag} takes no {value!r}")
        return f"{tag}:={value!r}"

    async def write(self, tag: int, value: Scalar) -> None:
        await self._request(self.device.may_write)
        if tag in self.device.refused:
            raise WriteRejected(f"tag {tag} takes no {value!r}")
        self.device.written.append((tag, value))
        self.device.on_write(tag, value)
        if tag in self.device.lost_after_write:
            raise DeviceUnavailable("the answer to the write never came")

    async def invoke(self, invocation: Invocation, key: str, simulate: bool) -> Invoked:
        self.device.invoked.append((invocation, key, simulate))
        await self.device.may_answer.wait()
        return self.device.on_invoke()

    async def subscribe(self, sink: Sink) -> None:
        self.device.sink = sink

    async def browse(self) -> AsyncIterator[Browsed]:
        for tag in self.device.values:
            yield Browsed(address=str(tag), name=f"tag {tag}", kind=None)

    async def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.device.open -= 1


def _kind(address: str) -> Kind:
    return "f8"
