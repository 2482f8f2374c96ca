"""How the sources are: who answers, since when, and what got lost."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

from plantops.events import Event, subjects
from plantops.events.base import Record, SourceName, from_nanoseconds
from plantops.events.provenance import Provenance
from plantops.events.queries import SourceState, TwinListed
from plantops.events.sources import GapRecorded, SourceUp
from plantops.flow.bus import Stored
from plantops.flow.reading import UNUSABLE, read_event
from plantops.tools.contract import Arguments, Call, Page, Tool, ToolError
from plantops.tools.reading.cursors import cut

# Two look-ups for each.
_MOST: Final = 50


class SourceHealth(Arguments, frozen=True):
    """Which sources."""

    source: Annotated[str, Meta(max_length=64, description="One source by name; empty: all of them.")] = ""


class Health(Record, frozen=True):
    """A source. Down: `cause` says why, and every tag of it is bad. `since` is when it came or went, by the
    broker's clock.

    `epoch` counts its owners, `gaps` and `lost_samples` what never arrived since the twin's history began;
    `age_seconds` is that of its newest frame. The last gap stands with its cause and size, 0: not known.
    """

    source: SourceName
    is_up: bool
    cause: str
    since: datetime | None
    epoch: int
    tags: int
    frames: int
    gaps: int
    lost_samples: int
    age_seconds: float | None
    detail: str = ""
    last_gap_at: datetime | None = None
    last_gap_cause: str = ""
    last_gap_samples: int = 0


class HealthGiven(Record, frozen=True):
    """Sorted by name; `down` counts those of all pages that are not up."""

    sources: tuple[Health, ...]
    total: int
    down: int


async def source_health(call: Call, asked: SourceHealth) -> Page[HealthGiven]:
    """What the twin says of each source now, with the events behind it."""
    told = await call.ask(subjects.service("twin", call.site, "list"), b"{}", TwinListed)
    states = [one for one in told.sources if asked.source in ("", one.source)]
    if asked.source and not states:
        raise ToolError("not_found", f"nothing is known of a source {asked.source!r}: see twin-list")
    page, following = cut(states, call.cursor, min(call.rows, _MOST))
    looked = await asyncio.gather(*(_look(call, state) for state in page))
    return Page(
        HealthGiven(
            sources=tuple(health for health, _provenance in looked),
            total=len(states),
            down=sum(1 for state in states if not state.is_up),
        ),
        provenance=tuple(provenance for _health, provenance in looked),
        next=following,
    )


async def _look(call: Call, state: SourceState) -> tuple[Health, Provenance]:
    """The state with the event that brought it about, and the last gap."""
    kind = "up" if state.is_up else "lost"
    turn, gap = await asyncio.gather(_last(call, state.source, kind), _last(call, state.source, "gap"))
    came = _event(call, turn)
    lost = _event(call, gap)
    health = Health(
        source=state.source,
        is_up=state.is_up,
        cause=state.cause,
        since=None if turn is None or came is None else from_nanoseconds(turn.time_ns),
        epoch=state.epoch,
        tags=state.tags,
        frames=state.frames,
        gaps=state.gaps,
        lost_samples=state.lost_samples,
        age_seconds=state.age_seconds,
        detail=came.detail if isinstance(came, SourceUp) else "",
        last_gap_at=from_nanoseconds(gap.time_ns) if gap is not None and lost is not None else None,
        last_gap_cause=lost.cause if isinstance(lost, GapRecorded) else "",
        last_gap_samples=lost.samples if isinstance(lost, GapRecorded) else 0,
    )
    if turn is None:
        return health, Provenance(channel="source", name=state.source)
    return health, Provenance(channel="source", name=state.source, stream="SOURCES", sequence=turn.sequence)


async def _last(call: Call, source: SourceName, kind: str) -> Stored | None:
    return await call.bus.last("SOURCES", subjects.source(call.site, source, kind))


def _event(call: Call, stored: Stored | None) -> Event | None:
    """What was stored, where it can be believed."""
    if stored is None:
        return None
    try:
        return read_event(stored, call.in_force)[0]
    except UNUSABLE:
        return None


SOURCE_HEALTH: Final = Tool(
    name="source-health",
    description=(
        "Whether each source's device answers, since when and why not; gaps and losses; the age of its "
        "newest data."
    ),
    risk="low",
    arguments=SourceHealth,
    result=HealthGiven,
    work=source_health,
    items="sources",
)
