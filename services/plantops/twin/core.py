"""The shadow twin: last known value, quality and times of every tag. A pure fold without decisions.

Two folds that never look at each other: frames (TAGS) and what happens to sources (SOURCES). What is
true now (staleness, a lease that ran out) is computed when asked, in `views`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from plantops.events import Event
from plantops.events.base import SiteName, SourceName
from plantops.events.frames import MAX_NUMBER, Frame
from plantops.events.sources import GapRecorded, LeaseTaken, SourceLost, SourceUp
from plantops.flow.processor import Output, Reads, Recorded
from plantops.twin.columns import Columns, ColumnsDump, dump_columns, load_columns


@dataclass
class Feed:
    """What the frames of one source say. `holes` counts frame sequences that never came."""

    columns: Columns
    epoch: int = 0
    sequence: int = 0
    frames: int = 0
    samples: int = 0
    historical: int = 0
    refused: int = 0
    holes: int = 0
    stored_at: int = 0


class Standing(msgspec.Struct):
    """What happened to a source, as its host told it."""

    epoch: int = 0
    owner: str = ""
    lease_at: int = 0
    ttl_seconds: float = 0.0
    released: bool = False
    is_up: bool = False
    cause: str = "never connected"
    gaps: int = 0
    lost_samples: int = 0


@dataclass
class TwinState:
    """Both folds, by source. `revision` is the TAGS sequence of the last frame taken in."""

    feeds: dict[SourceName, Feed] = field(default_factory=dict)
    standings: dict[SourceName, Standing] = field(default_factory=dict)
    revision: int = 0


class _FeedDump(msgspec.Struct):
    columns: ColumnsDump
    epoch: int
    sequence: int
    frames: int
    samples: int
    historical: int
    refused: int
    holes: int
    stored_at: int


class _Dump(msgspec.Struct):
    feeds: dict[SourceName, _FeedDump]
    standings: dict[SourceName, Standing]
    revision: int


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(_Dump)


@dataclass(frozen=True)
class Twin:
    """The core."""

    site: SiteName
    name: str = "twin"
    version: int = 1
    output_stream: str = ""
    output_filter: str = ""
    emits: tuple[type[Event], ...] = ()

    @property
    def consumes(self) -> tuple[Reads, ...]:
        """All frames, and all that happens to sources."""
        return (
            Reads("TAGS", (f"tag.{self.site}.*",)),
            Reads("SOURCES", (f"source.{self.site}.>",)),
        )

    def initial(self) -> TwinState:
        """Nothing known."""
        return TwinState()

    def decide(self, state: TwinState, recorded: Recorded) -> Sequence[Output]:
        """The twin only remembers."""
        return ()

    def evolve(self, state: TwinState, recorded: Recorded) -> TwinState:
        """Take one fact in."""
        fact = recorded.fact
        if isinstance(fact, Frame):
            _fold_frame(state, fact, recorded)
        elif isinstance(fact, (LeaseTaken, SourceUp, SourceLost, GapRecorded)):
            _fold_source(state, fact, recorded.time_ns)
        return state

    def dump(self, state: TwinState) -> bytes:
        """Equal states give equal bytes."""
        feeds = {name: _dump_feed(feed) for name, feed in sorted(state.feeds.items())}
        return _ENCODER.encode(_Dump(feeds, dict(sorted(state.standings.items())), state.revision))

    def load(self, data: bytes) -> TwinState:
        """Raises: ValueError when the bytes are no snapshot of this version."""
        dump = _DECODER.decode(data)
        feeds = {name: _load_feed(feed) for name, feed in dump.feeds.items()}
        return TwinState(feeds, dump.standings, dump.revision)


def _fold_frame(state: TwinState, frame: Frame, recorded: Recorded) -> None:
    feed = state.feeds.get(frame.source)
    if feed is None:
        feed = state.feeds[frame.source] = Feed(Columns.of(frame.definition, frame.layout))
    if frame.epoch < feed.epoch:
        feed.refused += 1  # a former owner that woke up; the newer one speaks for the source
        return
    if frame.historical:
        # It fills a hole that live frames left open, but is never current.
        feed.historical += frame.size
        is_ours = frame.epoch == feed.epoch and frame.sequence < feed.sequence
        feed.holes -= 1 if feed.holes and is_ours else 0
        return
    if frame.epoch > feed.epoch:
        # An epoch's first frame has number 1; what the stream forgot before our first one is no hole.
        feed.epoch, feed.sequence = frame.epoch, 0 if feed.epoch else frame.sequence - 1
    if frame.sequence <= feed.sequence:
        feed.refused += 1
        return
    feed.holes = min(feed.holes + frame.sequence - feed.sequence - 1, MAX_NUMBER)
    feed.sequence = frame.sequence
    if frame.layout != feed.columns.layout:
        feed.columns = feed.columns.moved_to(frame.definition, frame.layout)
    feed.columns.fold(frame, recorded.sequence, recorded.time_ns)
    feed.frames += 1
    feed.samples += frame.size
    feed.stored_at = recorded.time_ns
    state.revision = recorded.sequence


def _fold_source(
    state: TwinState, event: LeaseTaken | SourceUp | SourceLost | GapRecorded, time_ns: int
) -> None:
    standing = state.standings.setdefault(event.source, Standing())
    if not standing.epoch <= event.epoch < MAX_NUMBER:
        return
    standing.epoch = event.epoch
    match event:
        case LeaseTaken():
            standing.owner, standing.ttl_seconds = event.owner, event.ttl_seconds
            standing.lease_at, standing.released = time_ns, event.released
        case SourceUp():
            standing.is_up, standing.cause = True, ""
        case SourceLost():
            standing.is_up, standing.cause = False, event.cause
        case GapRecorded():
            standing.gaps += 1
            standing.lost_samples = min(standing.lost_samples + max(event.samples, 0), MAX_NUMBER)


def _dump_feed(feed: Feed) -> _FeedDump:
    return _FeedDump(
        dump_columns(feed.columns),
        feed.epoch,
        feed.sequence,
        feed.frames,
        feed.samples,
        feed.historical,
        feed.refused,
        feed.holes,
        feed.stored_at,
    )


def _load_feed(dump: _FeedDump) -> Feed:
    return Feed(
        load_columns(dump.columns),
        dump.epoch,
        dump.sequence,
        dump.frames,
        dump.samples,
        dump.historical,
        dump.refused,
        dump.holes,
        dump.stored_at,
    )
