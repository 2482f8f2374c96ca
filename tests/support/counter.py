"""A toy core for the flow itself: every seventh event of a source makes a finding.

Its state is a product of per-stream folds, its own answers included, so it must come out equal whatever
dies when.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from plantops.events import Event
from plantops.events.base import PrincipalName, SiteName, SourceName
from plantops.events.governance import ReignBegan
from plantops.events.sources import SourceLost, SourceUp
from plantops.flow.processor import Output, Reads, Recorded

EVERY = 7


class Tally(msgspec.Struct):
    """Count, sum and order-dependent hash per source and stream; answers seen per source and stream."""

    seen: dict[str, tuple[int, int, int]] = {}
    said: dict[str, int] = {}


class Counter:
    """See `Processor`. `burst` answers per finding let a test reach the limits of a batch."""

    def __init__(self, burst: int = 1) -> None:
        self.burst = burst

    name = "counter"
    version = 1
    consumes: tuple[Reads, ...] = (Reads("SOURCES", ("source.demo.*.up",)), Reads("EXTRA", ("extra.>",)))
    output_stream = "FINDINGS"
    output_filter = "finding.demo.*"
    emits: tuple[type[Event], ...] = (SourceLost,)

    def began(self, run: str) -> Output:
        event = ReignBegan(site=SiteName("demo"), writer=PrincipalName(self.name), run=run)
        return Output("finding.demo.reign", event)

    def initial(self) -> Tally:
        return Tally()

    def evolve(self, state: Tally, recorded: Recorded) -> Tally:
        match recorded.fact:
            case SourceUp(source=source, epoch=value):
                state.seen[_key(recorded)] = _next(state.seen.get(_key(recorded)), value)
            case SourceLost(source=source):
                state.said[source] = state.said.get(source, 0) + 1
            case _:
                pass
        return state

    def decide(self, state: Tally, recorded: Recorded) -> Sequence[Output]:
        if not isinstance(recorded.fact, SourceUp):
            return ()
        key = _key(recorded)
        count, total, digest = _next(state.seen.get(key), recorded.fact.epoch)
        if count % EVERY:
            return ()
        # What was said before counts too: losing or doubling an answer changes all later ones.
        cause = f"{total} {digest} {state.said.get(key, 0)}"
        lost = SourceLost(source=SourceName(key), epoch=count, cause=cause)
        return (Output("finding.demo.counter", lost),) * self.burst

    def dump(self, state: Tally) -> bytes:
        return msgspec.msgpack.encode(state, order="sorted")

    def load(self, data: bytes) -> Tally:
        return msgspec.msgpack.decode(data, type=Tally)


class Follower(Counter):
    """The same without answers, as the twin is."""

    name = "follower"
    output_stream = ""
    output_filter = ""
    emits: tuple[type[Event], ...] = ()


def _key(recorded: Recorded) -> str:
    assert isinstance(recorded.fact, SourceUp)
    return f"{recorded.stream}/{recorded.fact.source}"


def _next(old: tuple[int, int, int] | None, value: int) -> tuple[int, int, int]:
    count, total, digest = old or (0, 0, 0)
    return count + 1, total + value, (digest * 31 + value) % 1_000_003


def came_up(source: str, value: int) -> SourceUp:
    """An input of the counter."""
    return SourceUp(source=SourceName(source), epoch=value)
