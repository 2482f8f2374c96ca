"""Questions that a host answers straight from its device: read these tags, browse what is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from plantops.adapters.contract import Capabilities
from plantops.adapters.host.clock import Clock
from plantops.adapters.host.execution import observed
from plantops.adapters.host.lanes import Device, Lane
from plantops.events.base import encode_json, from_nanoseconds
from plantops.events.command_parts import Observation
from plantops.events.envelope import Message
from plantops.events.queries import BrowseAsked, BrowseTold, DeviceReadAsked, Found, problem
from plantops.events.tags import SourceDefined
from plantops.runtime.errors import DeviceError

Answer: TypeAlias = Callable[[Message], Awaitable[bytes]]

MAX_READ = 500
MAX_BROWSED = 1000


def read_service(definition: SourceDefined, device: Device, clock: Clock) -> Answer:
    """Answers `DeviceReadAsked` with an `Observation`, in the order asked; behind writes and polls."""
    places = {tag.name: index for index, tag in enumerate(definition.tags)}

    async def answer(message: Message) -> bytes:
        try:
            asked = msgspec.json.decode(message.data, type=DeviceReadAsked)
        except msgspec.DecodeError as error:
            return problem("bad_request", f'ask with {{"tags": ["name", …]}}: {error}')
        if not 1 <= len(asked.tags) <= MAX_READ:
            return problem("bad_request", f"{len(asked.tags)} tags asked, 1 to {MAX_READ} are answered")
        unknown = [name for name in asked.tags if name not in places]
        if unknown:
            return problem("unknown_tag", f"{definition.source} has no tag {unknown[0]!r}")
        try:
            samples = await device.read([places[name] for name in asked.tags], Lane.SERVICE)
        except DeviceError as error:
            return problem("device_unavailable", error.message)
        inputs = tuple(observed(name, one) for name, one in zip(asked.tags, samples, strict=True))
        return encode_json(Observation(at=from_nanoseconds(clock.now_ns()), inputs=inputs))

    return answer


def browse_service(capabilities: Capabilities, device: Device) -> Answer:
    """Answers `BrowseAsked` with `BrowseTold`, where the protocol can browse."""

    async def answer(message: Message) -> bytes:
        if not capabilities.browse:
            return problem("not_supported", "this protocol cannot tell what a device offers")
        try:
            asked = msgspec.json.decode(message.data or b"{}", type=BrowseAsked)
        except msgspec.DecodeError as error:
            return problem("bad_request", f'ask with {{"limit": 100}}: {error}')
        limit = min(max(asked.limit, 1), MAX_BROWSED)
        try:
            found = await device.browse(limit + 1)
        except DeviceError as error:
            return problem("device_unavailable", error.message)
        told = tuple(
            Found(
                address=one.address,
                name=one.name,
                kind=one.kind,
                writable=one.writable,
                description=one.description,
            )
            for one in found[:limit]
        )
        return encode_json(BrowseTold(found=told, is_complete=len(found) <= limit))

    return answer
