"""Calls of read tools: on a broker in memory, or on a running site with the rights of several logins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from plantops.archive.place import SERVED_FILE
from plantops.archive.specs import ARCHIVE
from plantops.cli.session import Session
from plantops.deployment.roots import standing_root
from plantops.events.base import PrincipalName, SiteName, encode_json
from plantops.events.envelope import Message
from plantops.flow.bus import Bus, Stored, StreamState
from plantops.flow.memory import MemoryBroker
from plantops.flow.policies import first
from plantops.model.load import Plant
from plantops.policy.document import Policy
from plantops.policy.in_force import InForce
from plantops.tools.contract import AnyTool, Call, Page
from support.plant_samples import NOW, PLANT, POLICY, ROOT, SITE, verified
from support.site import RunningSite

NOWHERE = Path("/nonexistent/plantops.duckdb")


def memory_call(
    broker: MemoryBroker,
    *chain: str,
    plant: Plant = PLANT,
    policy: Policy = POLICY,
    in_force: InForce | None = None,
    served: Path = NOWHERE,
    **more: Any,
) -> Call:
    """A call over a broker in memory; its audit is the same broker's."""
    found = verified(policy)
    if in_force is None:
        in_force = InForce(ROOT, SITE)
        in_force.offer(found.envelope, NOW)
    return Call(
        site=SiteName(SITE),
        chain=tuple(map(PrincipalName, chain or ("alice",))),
        verified=found,
        in_force=in_force,
        plant=plant,
        bus=broker.bus("tools"),
        audit=broker.bus("tools-audit"),
        served=served,
        **more,
    )


async def told(tool: AnyTool, call: Call, **arguments: Any) -> Page[Any]:
    """What the desk does before and after: arguments out of JSON, the result fit for JSON."""
    asked = msgspec.convert(arguments, tool.arguments, strict=True)
    page = await tool.work(call, asked)
    assert msgspec.json.decode(encode_json(page.result), type=tool.result) == page.result
    return page


async def all_pages(tool: AnyTool, call: Call, **arguments: Any) -> list[Page[Any]]:
    """Every page, each by the cursor of the one before."""
    pages = [await told(tool, call, **arguments)]
    while pages[-1].next:
        assert len(pages) < 1000, "pages without an end"
        pages.append(await told(tool, with_cursor(call, pages[-1].next), **arguments))
    return pages


def with_cursor(call: Call, cursor: str) -> Call:
    return _changed(call, cursor=cursor)


def asked_by(call: Call, *chain: str) -> Call:
    return _changed(call, chain=tuple(map(PrincipalName, chain)))


def with_rows(call: Call, rows: int) -> Call:
    return _changed(call, rows=rows)


def _changed(call: Call, **changed: Any) -> Call:
    fields = {name: getattr(call, name) for name in Call.__dataclass_fields__}
    return Call(**{**fields, **changed})


@dataclass(eq=False)
class SplitBus:
    """Asks services as a client does, reads streams as their provisioner: together what `tools` may do."""

    client: Bus
    streams: Bus

    async def request(self, subject: str, data: bytes, *, timeout: float) -> Message:
        return await self.client.request(subject, data, timeout=timeout)

    async def last(self, stream: str, subject: str) -> Stored | None:
        return await self.streams.last(stream, subject)

    async def get(self, stream: str, sequence: int) -> Stored | None:
        return await self.streams.get(stream, sequence)

    async def history(self, stream: str, subject: str, start: int, limit: int) -> list[Stored]:
        return await self.streams.history(stream, subject, start, limit)

    async def state(self, stream: str) -> StreamState:
        return await self.streams.state(stream)


@asynccontextmanager
async def site_call(demo: RunningSite, here: Session, *chain: str) -> AsyncIterator[Call]:
    """A call on a running site, by default of the session's person."""
    site = demo.site
    async with demo.reader() as streams, demo.auditor() as audit:
        in_force = InForce(standing_root(site.folder), site.name, plant=site.plant)
        await first(streams, in_force, patience_seconds=10.0)
        assert in_force.verified is not None
        bus: Any = SplitBus(here.bus, streams)
        yield Call(
            site=SiteName(site.name),
            chain=tuple(map(PrincipalName, chain or (here.name,))),
            verified=in_force.verified,
            in_force=in_force,
            plant=site.plant,
            bus=bus,
            audit=audit,
            served=site.folder.state(ARCHIVE) / SERVED_FILE,
            timeout_seconds=20.0,
            now=lambda: datetime.now(UTC),
        )


def places(page: Page[Any]) -> Sequence[tuple[str, str, str, int]]:
    """Channel, name and place of everything that a page rests on."""
    return [(one.channel, one.name, one.stream, one.sequence) for one in page.provenance]
