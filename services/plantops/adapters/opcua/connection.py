"""One OPC UA server: session, reads, writes and subscriptions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import structlog
from asyncua import Client, ua
from asyncua.client.ua_session import UaSession

from plantops.adapters.contract import Browsed, Secrets, Sink
from plantops.adapters.opcua.address import parse_address
from plantops.adapters.opcua.browse import browse
from plantops.adapters.opcua.codec import TagCodec
from plantops.adapters.opcua.config import OpcUaSettings, check_settings
from plantops.adapters.opcua.failures import while_connected, while_connecting
from plantops.adapters.opcua.limits import ServerFacts, read_facts
from plantops.adapters.opcua.nodes import node_id
from plantops.adapters.opcua.security import secure
from plantops.adapters.opcua.status import REFUSED_WRITES, code_name, is_good_status
from plantops.adapters.opcua.subscription import TICK_SECONDS, GroupSubscription
from plantops.events.base import Scalar
from plantops.events.frames import Sample
from plantops.events.quality import Quality
from plantops.events.tags import SourceDefined
from plantops.runtime.errors import DeviceError, DeviceProtocolError, DeviceUnavailable, WriteRejected

log = structlog.get_logger()

_SESSION_MS: Final = 60_000
# Part 4, 7.39.2: the server changed the value to the nearest that it allows.
_CLAMPED: Final = int(ua.StatusCodes.GoodClamped)


class OpcUaConnection:
    """A session that lives once: after `lost` or `close` it is connected anew, never resumed.

    asyncua could reconnect by itself, but what a server forgot in between would be lost without a word; so
    every loss is told to the host, which counts it and connects again.
    """

    def __init__(
        self, definition: SourceDefined, settings: OpcUaSettings, timeout: float, secrets: Secrets
    ) -> None:
        """Opens nothing. Raises: SettingsError."""
        check_settings(settings)
        self._definition = definition
        self._settings = settings
        self._timeout = timeout
        self._password = secrets(settings.password) if settings.password else None
        self._codecs = {
            index: TagCodec(index, tag, parse_address(tag.address))
            for index, tag in enumerate(definition.tags)
        }
        self._root = parse_address(f"{settings.browse_root}|string")
        self._client: Client | None = None
        self._facts: ServerFacts | None = None
        self._cause = ""
        self._sink: Sink | None = None
        self._groups: list[GroupSubscription] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        """Raises: DeviceUnavailable; SettingsError when a certificate, policy or user is refused."""
        await self.close()
        _quieten()
        client = Client(self._settings.endpoint_url, self._timeout, watchdog_intervall=self._timeout)
        client.name = client.description = f"PlantOps {self._definition.source}"
        client.session_timeout = _SESSION_MS
        client.connection_lost_callback = self._transport_lost
        self._cause = ""
        source = self._definition.source
        with while_connecting(source, self._settings.endpoint_url):
            await secure(client, self._settings, self._password)
            await client.connect()
        self._client = client
        try:
            with while_connected(source, "reading the server's namespaces and limits"):
                self._facts = await read_facts(client.uaclient.session, self._settings.max_nodes_per_call)
        except BaseException:
            await self.close()
            raise

    async def read(self, tags: Sequence[int]) -> list[Sample]:
        """One sample for each tag; the server's MaxNodesPerRead is kept."""
        session, facts = self._open()
        samples = {tag: Sample(tag, None, int(Quality.BAD_CONFIGURATION)) for tag in tags}
        known = [(tag, node) for tag in samples if (node := self._node(tag)) is not None]
        for start in range(0, len(known), facts.nodes_per_read):
            part = known[start : start + facts.nodes_per_read]
            parameters = ua.ReadParameters(
                MaxAge=0.0,
                TimestampsToReturn=ua.TimestampsToReturn.Source,
                NodesToRead=[
                    ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for _tag, node in part
                ],
            )
            with self._dropping_on_failure(), while_connected(self._definition.source, "reading"):
                answers = await session.read(parameters)
                if len(answers) != len(part):
                    raise DeviceProtocolError(f"asked for {len(part)} values, got {len(answers)}")
            for (tag, _node), data in zip(part, answers, strict=True):
                samples[tag] = self._codecs[tag].decode(data)
        return [samples[tag] for tag in tags]

    def encode(self, tag: int, value: Scalar) -> str:
        """`Write <node id> <type> <value>` as it would be sent. Raises: WriteRejected."""
        variant = self._codecs[tag].encode(value)
        node = self._definition.tags[tag].address.rpartition("|")[0] or self._definition.tags[tag].address
        return f"Write {node} {variant.VariantType.name} {variant.Value!r}"

    async def write(self, tag: int, value: Scalar) -> None:
        """The value alone, without status or time: strict servers refuse those (Part 4, 5.10.4.1)."""
        variant = self._codecs[tag].encode(value)
        name = self._definition.tags[tag].name
        session, _facts = self._open()
        node = self._node(tag)
        if node is None:
            raise WriteRejected(f"tag {name!r} was not written: the server has no such namespace", tag=name)
        item = ua.WriteValue(
            NodeId=node,
            AttributeId=ua.AttributeIds.Value,
            Value=ua.DataValue(Value=variant, StatusCode=None),
        )
        with self._dropping_on_failure(), while_connected(self._definition.source, f"writing tag {name!r}"):
            (status,) = await session.write(ua.WriteParameters(NodesToWrite=[item]))
        self._judge_write(name, int(status.value))

    async def subscribe(self, sink: Sink) -> None:
        """One subscription per group. Raises: SettingsError when the server is too slow for a group."""
        session, facts = self._open()
        self._sink = sink
        with while_connected(self._definition.source, "subscribing"):
            for group in range(len(self._definition.groups)):
                tags = [index for index, tag in enumerate(self._definition.tags) if tag.group == group]
                if not tags:
                    continue
                watched = GroupSubscription(
                    group, self._definition, self._settings, self._codecs, sink=sink, lost=self._drop
                )
                await watched.create(session, self._timeout)
                self._groups.append(watched)
                await watched.watch(session, tags, self._node, facts.items_per_call)
        self._tasks = [
            asyncio.create_task(self._listen_for_silence(), name=f"opcua silence {self._definition.source}"),
            asyncio.create_task(self._retry_refused(), name=f"opcua retry {self._definition.source}"),
        ]

    async def browse(self) -> AsyncIterator[Browsed]:
        """Scalar variables below `browse_root`, at most `browse_limit` nodes."""
        session, facts = self._open()
        root = node_id(self._root, facts.namespaces)
        if root is None:
            return
        with while_connected(self._definition.source, "browsing"):
            async for found in browse(session, facts, root, self._settings.browse_limit):
                yield found

    async def close(self) -> None:
        """A server that still answers is told; one that is lost is not waited for."""
        client, self._client, self._facts = self._client, None, None
        is_lost, self._cause, self._sink = bool(self._cause), "closed", None
        tasks, self._tasks = self._tasks, []
        groups, self._groups = self._groups, []
        for group in groups:
            group.end()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if client is None:
            return
        if is_lost:
            _abort(client)
        with suppress(TimeoutError):
            await asyncio.wait_for(client.disconnect(), self._timeout)
            return
        _abort(client)
        with suppress(TimeoutError):
            await asyncio.wait_for(client.disconnect(), self._timeout)

    def _open(self) -> tuple[UaSession, ServerFacts]:
        if self._client is None or self._facts is None or self._cause:
            raise DeviceUnavailable(
                f"not connected to {self._settings.endpoint_url}: {self._cause or 'connect first'}",
                source=self._definition.source,
            )
        return self._client.uaclient.session, self._facts

    def _node(self, tag: int) -> ua.NodeId | None:
        return node_id(self._codecs[tag].address, self._facts.namespaces if self._facts else ())

    def _judge_write(self, name: str, code: int) -> None:
        if code in REFUSED_WRITES:
            raise WriteRejected(
                f"tag {name!r} was not written: the server says {code_name(code)}", tag=name, code=code
            )
        if not is_good_status(code) or code == _CLAMPED:
            raise DeviceUnavailable(
                f"tag {name!r} may have been written, or otherwise than asked: the server says "
                f"{code_name(code)}; read it back",
                source=self._definition.source,
                tag=name,
            )

    async def _transport_lost(self, cause: Exception) -> None:
        self._drop(f"the connection is gone: {cause}" if str(cause) else "the server does not answer")

    def _drop(self, cause: str) -> None:
        """Tell once; whatever arrives later on this connection is not looked at any more."""
        if self._cause:
            return
        self._cause = cause
        for group in self._groups:
            group.end()
        if self._sink is not None:
            self._sink.lost(cause)

    @contextmanager
    def _dropping_on_failure(self) -> Iterator[None]:
        """After a failed request nobody knows what the server did with it: this session is not used again."""
        try:
            yield
        except WriteRejected:
            raise
        except DeviceError as error:
            self._drop(error.message)
            raise

    async def _listen_for_silence(self) -> None:
        while not self._cause:
            await asyncio.sleep(TICK_SECONDS)
            for group in self._groups:
                group.tick()

    async def _retry_refused(self) -> None:
        """Ask again now and then for tags that the server did not know; their neighbours never wait."""
        source = self._definition.source
        while not self._cause:
            await asyncio.sleep(self._settings.retry_seconds)
            if not any(group.refused for group in self._groups):
                continue
            try:
                session, facts = self._open()
                with (
                    self._dropping_on_failure(),
                    while_connected(self._definition.source, "subscribing again"),
                ):
                    self._facts = facts = await read_facts(session, self._settings.max_nodes_per_call)
                    for group in self._groups:
                        await group.watch(session, sorted(group.refused), self._node, facts.items_per_call)
            except DeviceError as error:
                log.debug("opcua.retry_ended", source=source, cause=error.message)
                return


def _abort(client: Client) -> None:
    """Cut the transport, so that nothing waits for an answer of a server that is gone."""
    protocol = client.uaclient.protocol
    if protocol is not None and protocol.transport is not None:
        protocol.transport.abort()


def _quieten() -> None:
    """asyncua logs a traceback per failed request; what matters of it is told by this adapter, once."""
    logger = logging.getLogger("asyncua")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL + 1)
