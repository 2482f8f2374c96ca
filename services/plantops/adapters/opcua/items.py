"""Monitored items: what is asked of the server for each tag; pure."""

from __future__ import annotations

from typing import Final

from asyncua import ua

from plantops.adapters.opcua.config import OpcUaSettings
from plantops.events.tags import ScanGroup, TagDefinition

FILTER_REFUSALS: Final = frozenset(
    (
        ua.StatusCodes.BadMonitoredItemFilterInvalid,
        ua.StatusCodes.BadMonitoredItemFilterUnsupported,
        ua.StatusCodes.BadFilterNotAllowed,
        ua.StatusCodes.BadDeadbandFilterInvalid,
    )
)
"""Answers after which the item is asked for again without a deadband; the host applies its own anyway."""

# A server keeps a subscription of ours for so long after we vanished, and no longer.
_LIFETIME_MS: Final = 60_000


def subscription_parameters(group: ScanGroup, settings: OpcUaSettings) -> ua.CreateSubscriptionParameters:
    """A keep-alive per publishing interval, so that an unchanged group stays fresh."""
    interval = settings.publishing_interval_ms or group.period_ms
    return ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=float(interval),
        RequestedMaxKeepAliveCount=1,
        RequestedLifetimeCount=max(10, _LIFETIME_MS // interval),
        MaxNotificationsPerPublish=0,
        PublishingEnabled=True,
        Priority=0,
    )


def item_request(
    index: int, node: ua.NodeId, tag: TagDefinition, settings: OpcUaSettings, *, filtered: bool
) -> ua.MonitoredItemCreateRequest:
    """`index` is the tag's place in the definition and comes back as the client handle.

    A sampling interval of -1 is the publishing interval (OPC UA Part 4, 5.13.1.2).
    """
    parameters = ua.MonitoringParameters(
        ClientHandle=index,
        SamplingInterval=float(settings.sampling_interval_ms or -1),
        Filter=deadband_filter(tag, settings) if filtered else None,
        QueueSize=settings.queue_size,
        DiscardOldest=True,
    )
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=parameters,
    )


def deadband_filter(tag: TagDefinition, settings: OpcUaSettings) -> ua.DataChangeFilter | None:
    """The server's deadband; the tag's own is in engineering units, the server's in raw ones."""
    if tag.kind not in ("f8", "i8", "u8"):
        return None
    kind, value = ua.DeadbandType.Percent, settings.deadband_percent
    if settings.server_deadband == "absolute":
        kind, value = ua.DeadbandType.Absolute, tag.deadband
        if tag.raw is not None and tag.engineering is not None:
            value *= abs((tag.raw.high - tag.raw.low) / (tag.engineering.high - tag.engineering.low or 1.0))
    if settings.server_deadband == "none" or value <= 0:
        return None
    return ua.DataChangeFilter(
        Trigger=ua.DataChangeTrigger.StatusValue, DeadbandType=ua.UInt32(kind), DeadbandValue=value
    )
