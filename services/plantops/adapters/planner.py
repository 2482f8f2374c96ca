"""Which blocks to ask for: pure, and the same for every protocol that reads ranges of numbered cells."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

TRIALS_AT_ONCE = 8


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """`length` cells of `area` from `start` on that belong together; `key` is the caller's own."""

    area: str
    start: int
    length: int
    key: int = 0

    @property
    def end(self) -> int:
        """The first cell behind it."""
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Block:
    """One request; it covers all its `spans`, which are in the order of their addresses."""

    area: str
    start: int
    length: int
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The device said no to this span alone, with the protocol's own `code`; tried again at `due`."""

    code: int
    due: float
    wait: float


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds until a refused span is tried again: `first`, then twice as long each time, up to `longest`."""

    first: float = 60.0
    longest: float = 3600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask, and what not to ask because it was refused; together exactly the spans given."""

    blocks: tuple[Block, ...]
    refused: tuple[Span, ...]


def split(block: Block) -> tuple[Block, Block]:
    """Two halves of a block with at least two spans, each no longer than its own spans need."""
    middle = len(block.spans) // 2
    return _block(block.spans[:middle]), _block(block.spans[middle:])


def _block(spans: Sequence[Span]) -> Block:
    start = spans[0].start
    return Block(spans[0].area, start, max(span.end for span in spans) - start, tuple(spans))


@dataclass(slots=True)
class BlockPlanner:
    """Joins spans into blocks and remembers what the device refused.

    Spans that are at most `gap` cells apart are joined while the block has at most `longest` cells. A block
    never bridges a refused span. `version` changes whenever a plan made earlier is no longer the best.
    Times are seconds of one monotonic clock, given by the caller.
    """

    gap: int
    longest: int
    version: int = 0
    _refusals: dict[Span, Refusal] = field(default_factory=dict)
    _cuts: set[tuple[str, int]] = field(default_factory=set)

    def plan(self, spans: Iterable[Span]) -> Plan:
        """The fewest blocks that the rules allow.

        Raises: ValueError when a span alone is longer than a block may be.
        """
        refused, blocks, open_spans = [], [], list[Span]()
        end = 0
        walls = _Walls(self._refusals)
        for span in sorted(spans):
            if span.length > self.longest:
                raise ValueError(f"{span} is longer than a block of {self.longest} cells")
            if span in self._refusals:
                refused.append(span)
                continue
            if open_spans and not self._joins(open_spans[0], end, span, walls):
                blocks.append(_block(open_spans))
                open_spans = []
            end = max(end, span.end) if open_spans else span.end
            open_spans.append(span)
        if open_spans:
            blocks.append(_block(open_spans))
        return Plan(tuple(blocks), tuple(refused))

    def _joins(self, first: Span, end: int, span: Span, walls: _Walls) -> bool:
        return (
            span.area == first.area
            and span.start - end <= self.gap
            and max(end, span.end) - first.start <= self.longest
            and (span.area, span.start) not in self._cuts
            and not walls.between(span.area, end, span.start)
        )

    def refuse(self, span: Span, code: int, now: float, patience: Patience) -> None:
        """The device refused this span alone: leave it out of the blocks until it answers a trial."""
        known = self._refusals.get(span)
        wait = patience.first if known is None else min(2 * known.wait, patience.longest)
        self._refusals[span] = Refusal(code, now + wait, wait)
        if known is None or known.code != code:
            self.version += 1

    def accept(self, span: Span) -> None:
        """The device answered a trial: what it refused with the same code is asked in blocks again.

        So a device that failed as a whole and is mended comes back at once, not one span at a time.
        """
        refusal = self._refusals.get(span)
        if refusal is not None:
            self._refusals = {key: told for key, told in self._refusals.items() if told.code != refusal.code}
            self.version += 1

    def cut(self, right: Block) -> None:
        """Both halves of a refused block answered alone: never join across the start of `right` again.

        So it is with cells in the gap that nobody wants and the device refuses, or with a device that
        takes shorter blocks only.
        """
        self._cuts.add((right.area, right.start))
        self.version += 1

    def code_of(self, span: Span) -> int:
        """The code with which the device refused this span. Raises: KeyError when it did not."""
        return self._refusals[span].code

    def due(self, refused: Iterable[Span], now: float) -> list[Span]:
        """Those to try again now, the longest overdue first, a few at a time."""
        waiting = sorted((self._refusals[span].due, span) for span in refused if self._is_due(span, now))
        return [span for _due, span in waiting[:TRIALS_AT_ONCE]]

    def _is_due(self, span: Span, now: float) -> bool:
        refusal = self._refusals.get(span)
        return refusal is not None and refusal.due <= now


class _Walls:
    """Cells that were refused, for the question whether any lies between two places."""

    def __init__(self, refused: Iterable[Span]) -> None:
        self._cells: dict[str, list[int]] = {}
        for span in refused:
            self._cells.setdefault(span.area, []).extend(range(span.start, span.end))
        for cells in self._cells.values():
            cells.sort()

    def between(self, area: str, low: int, high: int) -> bool:
        cells = self._cells.get(area, [])
        position = bisect_left(cells, low)
        return position < len(cells) and cells[position] < high
