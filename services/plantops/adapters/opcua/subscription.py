"""One subscription per scan group: notifications in bulk, every gap noticed, no bad node in the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import structlog
from asyncua import ua
from asyncua.client.ua_session import UaSession

from plantops.adapters.contract import Sink
from plantops.adapters.opcua.codec import TagCodec
from plantops.adapters.opcua.config import OpcUaSettings
from plantops.adapters.opcua.items import FILTER_REFUSALS, item_request, subscription_parameters
from plantops.adapters.opcua.status import code_name, is_overflow, quality_of
from plantops.events.frames import Sample
from plantops.events.tags import SourceDefined
from plantops.runtime.errors import DeviceProtocolError, SettingsError

log = structlog.get_logger()

TICK_SECONDS: Final = 0.25
"""How often the host of a subscription calls `tick`."""

# A group is stale after two periods; a server that rounds up further can never keep it fresh.
_MOST_ROUNDING: Final = 1.5
# Missed keep-alives after which the server counts as gone, though its connection still stands.
_MISSED_KEEP_ALIVES: Final = 5
_LAST_SEQUENCE: Final = 2**32 - 1
_GONE: Final = frozenset((ua.StatusCodes.BadNodeIdUnknown, ua.StatusCodes.BadNodeIdInvalid))

Resolve = Callable[[int], ua.NodeId | None]
"""The node of a tag; None where the server does not know its namespace."""


class GroupSubscription:
    """The tags of one scan group.

    `lost` is called at most once, when the server is silent, ends the subscription, or a notification is
    missing: in all three the host's reconnect brings every current value anew.
    """

    def __init__(
        self,
        group: int,
        definition: SourceDefined,
        settings: OpcUaSettings,
        codecs: Mapping[int, TagCodec],
        *,
        sink: Sink,
        lost: Callable[[str], None],
    ) -> None:
        self._group = group
        self._definition = definition
        self._settings = settings
        self._codecs = codecs
        self._sink = sink
        self._lost = lost
        self._id = 0
        self._expected = 1
        self._ticks_silent = 0
        self._ticks_allowed = 0
        self._has_ended = False
        self.refused: set[int] = set()

    async def create(self, session: UaSession, timeout: float) -> None:
        """Open the subscription, without items.

        Raises: SettingsError when the server cannot publish as often as the group's period asks.
        """
        group = self._definition.groups[self._group]
        parameters = subscription_parameters(group, self._settings)
        answer = await session.create_subscription(parameters, self.published)
        self._id = answer.SubscriptionId
        interval = float(answer.RevisedPublishingInterval)
        if interval > group.period_ms * _MOST_ROUNDING:
            raise SettingsError(
                f"group {group.name!r} asks for {group.period_ms} ms, the server publishes every "
                f"{interval:g} ms at best: set period_ms = {int(interval)} or more",
                setting="period_ms",
            )
        keep_alive = interval / 1000 * max(1, answer.RevisedMaxKeepAliveCount)
        self._ticks_allowed = int(max(timeout, _MISSED_KEEP_ALIVES * keep_alive) / TICK_SECONDS) + 1

    async def watch(self, session: UaSession, tags: Sequence[int], resolve: Resolve, per_call: int) -> None:
        """Ask for these tags; what the server refuses becomes a bad sample and stands in `refused`."""
        unfiltered = await self._ask(session, tags, resolve, per_call, filtered=True)
        if unfiltered:
            log.info("opcua.server_deadband_refused", source=self._definition.source, tags=len(unfiltered))
            await self._ask(session, unfiltered, resolve, per_call, filtered=False)

    async def _ask(
        self, session: UaSession, tags: Sequence[int], resolve: Resolve, per_call: int, *, filtered: bool
    ) -> list[int]:
        nodes = {tag: node for tag in tags if (node := resolve(tag)) is not None}
        refusals = {tag: ua.StatusCodes.BadNodeIdUnknown for tag in tags if tag not in nodes}
        known = list(nodes)
        for start in range(0, len(known), per_call):
            part = known[start : start + per_call]
            refusals.update(await self._ask_part(session, part, nodes, filtered=filtered))
        again = [tag for tag, code in refusals.items() if filtered and code in FILTER_REFUSALS]
        for tag in again:
            del refusals[tag]
        self.refused.difference_update(tags)
        self._refuse(refusals)
        return again

    async def _ask_part(
        self, session: UaSession, tags: list[int], nodes: Mapping[int, ua.NodeId], *, filtered: bool
    ) -> dict[int, int]:
        parameters = ua.CreateMonitoredItemsParameters(
            SubscriptionId=self._id,
            TimestampsToReturn=ua.TimestampsToReturn.Source,
            ItemsToCreate=[
                item_request(tag, nodes[tag], self._definition.tags[tag], self._settings, filtered=filtered)
                for tag in tags
            ],
        )
        results = await session.create_monitored_items(parameters)
        if len(results) != len(tags):
            raise DeviceProtocolError(
                f"asked for {len(tags)} monitored items, got {len(results)} answers",
                source=self._definition.source,
            )
        return {
            tag: int(result.StatusCode.value)
            for tag, result in zip(tags, results, strict=True)
            if not result.StatusCode.is_good()
        }

    def _refuse(self, refusals: Mapping[int, int]) -> None:
        if not refusals or self._has_ended:
            return
        self.refused.update(refusals)
        self._sink.samples(
            [Sample(tag, None, quality_of(code) & 0x3F) for tag, code in refusals.items()], time.time_ns()
        )

    def published(self, result: ua.PublishResult) -> None:
        """One publish response: a notification or a keep-alive."""
        if self._has_ended:
            return
        now = time.time_ns()
        self._ticks_silent = 0
        message = result.NotificationMessage
        samples: list[Sample] = []
        overflows = 0
        for notification in message.NotificationData or ():
            if isinstance(notification, ua.DataChangeNotification):
                overflows += self._decode(notification.MonitoredItems, samples)
            elif isinstance(notification, ua.StatusChangeNotification):
                self._lost(f"the server ended the subscription: {code_name(notification.Status.value)}")
                return
        if samples:
            self._sink.samples(samples, now)
        if overflows:
            self._sink.overflow(0)
        if self._is_gap(int(message.SequenceNumber), is_data=bool(message.NotificationData)):
            self._sink.overflow(0)
            self._lost("a notification of the server is missing or could not be read")
            return
        self._sink.confirm(self._group, now)

    def _decode(self, items: Iterable[ua.MonitoredItemNotification], samples: list[Sample]) -> int:
        codecs, overflows = self._codecs, 0
        for item in items:
            codec = codecs.get(item.ClientHandle)
            if codec is None:
                continue
            data = item.Value
            if data.StatusCode is not None and (code := data.StatusCode.value):
                overflows += is_overflow(code)
                if code in _GONE:
                    self.refused.add(codec.index)
            samples.append(codec.decode(data))
        return overflows

    def _is_gap(self, sequence: int, *, is_data: bool) -> bool:
        """OPC UA Part 4, 5.14.1.1: numbers start at 1; a keep-alive carries the next one and uses none up."""
        if not is_data:
            return sequence > self._expected
        expected = self._expected
        self._expected = 1 if sequence == _LAST_SEQUENCE else sequence + 1
        return sequence != expected

    def end(self) -> None:
        """Nothing is passed on any more."""
        self._has_ended = True

    def tick(self) -> None:
        """Count silence in ticks, not by a clock: a process that stood still itself accuses nobody."""
        self._ticks_silent += 1
        if self._ticks_silent > self._ticks_allowed:
            self._lost(f"the server has not published for {self._ticks_silent * TICK_SECONDS:g} s")
