"""An OPC UA server of our own making for tests: one variable of each type, and statuses at will."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, cast

from asyncua import Server, ua

from plantops.adapters.contract import GroupSettings, SourceSettings, TagSettings
from plantops.adapters.definition import definition_of
from plantops.adapters.opcua import SPEC
from plantops.adapters.opcua.config import OpcUaSettings
from plantops.adapters.opcua.connection import OpcUaConnection
from plantops.events.frames import Sample
from plantops.runtime.secrets import Secret

NAMESPACE = "urn:plantops:test;device"
ESCAPED_NAMESPACE = "urn:plantops:test%3Bdevice"

VALUES: dict[str, tuple[Any, ua.VariantType]] = {
    "double": (21.5, ua.VariantType.Double),
    "float": (0.5, ua.VariantType.Float),
    "int8": (-5, ua.VariantType.SByte),
    "uint8": (250, ua.VariantType.Byte),
    "int16": (-12345, ua.VariantType.Int16),
    "uint16": (54321, ua.VariantType.UInt16),
    "int32": (-(2**31), ua.VariantType.Int32),
    "uint32": (2**32 - 1, ua.VariantType.UInt32),
    "int64": (-(2**63), ua.VariantType.Int64),
    "uint64": (2**64 - 1, ua.VariantType.UInt64),
    "bool": (True, ua.VariantType.Boolean),
    "string": ("on é", ua.VariantType.String),
    "array": ([1.0, 2.0], ua.VariantType.Double),
    "moment": (datetime(2026, 1, 1), ua.VariantType.DateTime),  # noqa: DTZ001 - as asyncua keeps it
}


class OpcUaDevice:
    """A server without security on loopback; `port` is kept over a restart when given."""

    def __init__(self, *, port: int = 0, counters: int = 0) -> None:
        self.port = port
        self.counters = counters
        self.server = Server()
        self.index = 0

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/test"

    async def __aenter__(self) -> Self:
        await self.server.init()
        self.server.disable_clock()
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        self.index = await self.server.register_namespace(NAMESPACE)
        for name, (value, kind) in VALUES.items():
            await self.add(name, value, kind)
        for number in range(self.counters):
            await self.add(f"counter{number}", 0, ua.VariantType.UInt32)
        self.server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}/test")
        self.server.socket_address = ("127.0.0.1", self.port)
        await self.server.start()
        assert self.server.bserver is not None
        self.port = self.server.bserver.port
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.server.stop()

    def node(self, name: str) -> ua.NodeId:
        return ua.NodeId(ua.String(name), ua.Int16(self.index))

    async def add(self, name: str, value: Any, kind: ua.VariantType) -> None:
        variable = await self.server.nodes.objects.add_variable(
            self.node(name), ua.QualifiedName(name, self.index), value, kind
        )
        await variable.set_writable()

    async def put(
        self, name: str, value: Any, kind: ua.VariantType, status: int = 0, at: datetime | None = None
    ) -> None:
        data = ua.DataValue(
            Value=ua.Variant(value, kind),
            StatusCode=ua.StatusCode(ua.UInt32(status)),
            SourceTimestamp=cast("ua.DateTime | None", at),
        )
        await self.server.write_attribute_value(self.node(name), data)

    def value(self, name: str) -> Any:
        data = self.server.iserver.aspace.read_attribute_value(self.node(name), ua.AttributeIds.Value)
        assert data.Value is not None
        return data.Value.Value


class Heard:
    """A sink that remembers; `until` waits for what it should have heard."""

    def __init__(self) -> None:
        self.heard: list[Sample] = []
        self.confirmed: list[int] = []
        self.overflows: list[int] = []
        self.causes: list[str] = []
        self._news = asyncio.Event()

    def samples(self, samples: Sequence[Sample], observed_at: int) -> None:
        assert abs(observed_at - time.time_ns()) < 60 * 10**9
        self.heard.extend(samples)
        self._news.set()

    def confirm(self, group: int, observed_at: int) -> None:
        self.confirmed.append(group)
        self._news.set()

    def overflow(self, samples: int) -> None:
        self.overflows.append(samples)
        self._news.set()

    def lost(self, cause: str) -> None:
        self.causes.append(cause)
        self._news.set()

    def of(self, index: int) -> list[Sample]:
        return [sample for sample in self.heard if sample.index == index]

    def values(self, index: int) -> list[Any]:
        return [sample.value for sample in self.of(index)]

    async def until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                await self._news.wait()


def no_secrets(reference: str) -> Secret:
    raise AssertionError(f"nobody should ask for {reference}")


def source(
    url: str, tags: Sequence[TagSettings], *, groups: Sequence[GroupSettings] = (), **connection: Any
) -> SourceSettings:
    return SourceSettings(
        adapter="opcua",
        connection={"endpoint_url": url, **connection},
        groups=tuple(groups) or (GroupSettings(name="fast", period_ms=100),),
        tags=tuple(tags),
    )


def connection_to(
    url: str,
    tags: Sequence[TagSettings],
    *,
    groups: Sequence[GroupSettings] = (),
    timeout: float = 2.0,
    secrets: Callable[[str], Secret] = no_secrets,
    **settings: Any,
) -> OpcUaConnection:
    """A connection that has opened nothing; `settings` are those of `[connection]`."""
    definition = definition_of("test", "device", source(url, tags, groups=groups), SPEC)
    return OpcUaConnection(definition, OpcUaSettings(endpoint_url=url, **settings), timeout, secrets)


def tag(name: str, kind: str | None = None, **more: Any) -> TagSettings:
    """The test device's variable `name` as a tag, by namespace URI."""
    return TagSettings(name=name, address=f"nsu={ESCAPED_NAMESPACE};s={name}|{kind or name}", **more)
