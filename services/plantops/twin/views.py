"""What the twin says when asked, at a stated broker time. Pure.

Freshness is the age of the adapter's last confirmation on the broker's time, never of the source time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from plantops.events.base import SourceName, TagName, from_nanoseconds
from plantops.events.quality import Quality, is_bad, quality_name
from plantops.events.queries import Sighting, SourceState, TagState
from plantops.twin.core import Feed, Standing, TwinState


class Directory:
    """Where each tag stands; rebuilt when a layout changes. Later sources lose against earlier names."""

    def __init__(self) -> None:
        self._layouts: dict[SourceName, str] = {}
        self._places: dict[TagName, tuple[SourceName, int]] = {}
        self._names: list[TagName] = []

    def refresh(self, state: TwinState) -> None:
        """Follow the state's layouts."""
        layouts = {name: feed.columns.layout for name, feed in state.feeds.items()}
        if layouts == self._layouts:
            return
        self._layouts = dict(layouts)
        self._places = {}
        for name in sorted(state.feeds):
            for position, tag in enumerate(state.feeds[name].columns.definition.tags):
                self._places.setdefault(tag.name, (name, position))
        self._names = sorted(self._places)

    def place(self, tag: TagName) -> tuple[SourceName, int] | None:
        """Source and position of a tag."""
        return self._places.get(tag)

    def names(self, prefix: str) -> Iterator[TagName]:
        """All tag names that start so, sorted."""
        return (name for name in self._names if name.startswith(prefix))


def effective_quality(feed: Feed, standing: Standing | None, position: int, now_ns: int) -> int:
    """The quality that counts now: a source that is gone or silent makes its tags bad, whoever died."""
    columns = feed.columns
    quality = int(columns.quality[position])
    if is_bad(quality):
        return quality
    if standing is None or not standing.lease_at:
        return Quality.BAD_NOT_CONNECTED  # nobody holds the source, as far as is known
    if standing.epoch >= feed.epoch and (not standing.is_up or _has_run_out(standing, now_ns)):
        return Quality.BAD_COMMUNICATION
    group = columns.definition.groups[int(columns.group[position])]
    if now_ns - columns.seen_at(position) > group.stale_ns:
        return Quality.BAD_COMMUNICATION
    value = columns.value(position)
    if isinstance(value, float) and not math.isfinite(value):
        return Quality.BAD_SENSOR_FAILURE
    return quality


def tag_state(state: TwinState, source: SourceName, position: int, now_ns: int) -> TagState:
    """Everything known of one tag."""
    feed = state.feeds[source]
    columns = feed.columns
    tag = columns.definition.tags[position]
    quality = effective_quality(feed, state.standings.get(source), position, now_ns)
    value = columns.value(position)
    if isinstance(value, float) and not math.isfinite(value):
        value = None
    sequence = int(columns.sequence[position])
    seen_at = columns.seen_at(position)
    return TagState(
        tag=tag.name,
        source=source,
        value=value,
        quality=quality,
        quality_name=quality_name(quality),
        unit=tag.unit,
        age_seconds=max(0.0, (now_ns - seen_at) / 1e9) if seen_at else None,
        source_time=from_nanoseconds(int(columns.source_time[position])) if sequence else None,
        changed_at=from_nanoseconds(int(columns.stored_at[position])) if sequence else None,
        revision=sequence,
    )


def sighting(state: TwinState, directory: Directory, tag: TagName) -> Sighting:
    """Where a tag stands in the log; zeros for a tag that nobody has."""
    place = directory.place(tag)
    if place is None:
        return Sighting(tag=tag)
    columns = state.feeds[place[0]].columns
    return Sighting(
        tag=tag, value_sequence=int(columns.sequence[place[1]]), confirmed_sequence=columns.seen_by(place[1])
    )


def changed_since(state: TwinState, after: int) -> Iterator[tuple[SourceName, int]]:
    """Tags whose last sample is newer than a revision."""
    for source, feed in state.feeds.items():
        for position in (feed.columns.sequence > after).nonzero()[0].tolist():
            yield source, position


def source_states(state: TwinState, now_ns: int) -> Iterable[SourceState]:
    """One line per source, sorted by name."""
    for name in sorted(set(state.feeds) | set(state.standings)):
        feed, standing = state.feeds.get(name), state.standings.get(name, Standing())
        stored_at = feed.stored_at if feed else 0
        yield SourceState(
            source=name,
            epoch=max(standing.epoch, feed.epoch if feed else 0),
            is_up=standing.is_up and not _has_run_out(standing, now_ns),
            cause=standing.cause or ("the lease has run out" if _has_run_out(standing, now_ns) else ""),
            tags=len(feed.columns.definition.tags) if feed else 0,
            frames=feed.frames if feed else 0,
            samples=feed.samples if feed else 0,
            gaps=standing.gaps,
            lost_samples=standing.lost_samples,
            age_seconds=max(0.0, (now_ns - stored_at) / 1e9) if stored_at else None,
        )


def _has_run_out(standing: Standing, now_ns: int) -> bool:
    return standing.released or now_ns - standing.lease_at > standing.ttl_seconds * 1e9
