"""Where is it? Tags, assets and operations by words: BM25 over names, descriptions and units."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeAlias

import bm25s
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from plantops.events.base import Record
from plantops.events.provenance import Provenance
from plantops.model.load import Plant
from plantops.tools.contract import Arguments, Call, Page, Tool
from plantops.tools.reading.cursors import cut
from plantops.tools.words import meant, words_of

_NAME_WEIGHT: Final = 3
# A word that stands in a name as it is says more than any number of words like it.
_IN_NAME: Final = 5.0

FoundKind: TypeAlias = Literal["tag", "asset", "operation"]


class TwinFind(Arguments, frozen=True):
    """What is looked for."""

    words: Annotated[
        str,
        Meta(
            min_length=1, max_length=256, description="Words or part of a name, such as: motor temperature."
        ),
    ]
    kind: Annotated[
        Literal["", "tag", "asset", "operation"], Meta(description="Only such things; empty: of any kind.")
    ] = ""


class FoundThing(Record, frozen=True):
    """A tag, asset or operation (`asset.Operation`), with what the model says of it.

    `of` is the source of a tag, or the asset of an operation; `properties` are the `asset.property` that a
    tag stands for.
    """

    kind: FoundKind
    name: str
    of: str = ""
    unit: str = ""
    description: str = ""
    properties: tuple[str, ...] = ()


class ThingsFound(Record, frozen=True):
    """The best first."""

    found: tuple[FoundThing, ...]
    total: int


@dataclass
class _Index:
    """All things of one plant, and the ranking over their words."""

    things: Sequence[FoundThing]
    ranking: bm25s.BM25 | None = field(init=False)

    def __post_init__(self) -> None:
        documents = [_words(thing) for thing in self.things]
        self.ranking = bm25s.BM25(method="lucene") if any(documents) else None
        if self.ranking is not None:
            self.ranking.index(documents, show_progress=False)

    def best(self, query: str) -> list[FoundThing]:
        """What has something to do with the query, the best first; equal ones by name."""
        scores = self._scores(query) + self._in_names(query)
        order = sorted(
            np.flatnonzero(scores > 0).tolist(), key=lambda at: (-scores[at], self.things[at].name)
        )
        return [self.things[at] for at in order]

    def _scores(self, query: str) -> NDArray[np.float64]:
        totals = np.zeros(len(self.things))
        if self.ranking is not None:
            for word, weight in sorted(meant(words_of(query)).items()):
                if word in self.ranking.vocab_dict:
                    totals += weight * self.ranking.get_scores([word])
        return totals.round(4)

    def _in_names(self, query: str) -> NDArray[np.float64]:
        parts = query.casefold().split()
        whole = query.casefold().strip()
        return np.array(
            [
                _IN_NAME * (sum(part in name for part in parts) + 2 * (whole == name)) if parts else 0.0
                for name in (thing.name.casefold() for thing in self.things)
            ]
        )


class Finder:
    """Keeps the index of the plant that it was asked about last: one process has one plant."""

    def __init__(self) -> None:
        self._made: tuple[str, _Index] | None = None

    async def find(self, call: Call, asked: TwinFind) -> Page[ThingsFound]:
        """What fits the words, in the model as this process has it."""
        index = await self._index(call.plant)
        found = [one for one in index.best(asked.words) if asked.kind in ("", one.kind)]
        page, following = cut(found, call.cursor, call.rows)
        return Page(
            ThingsFound(found=tuple(page), total=len(found)),
            provenance=tuple(
                Provenance(channel="tag" if one.kind == "tag" else "asset", name=one.name) for one in page
            ),
            next=following,
        )

    async def _index(self, plant: Plant) -> _Index:
        if self._made is None or self._made[0] != plant.digest:
            # Some ten thousand tags take a second, in which others are answered.
            self._made = (plant.digest, await asyncio.to_thread(_Index, tuple(_things(plant))))
        return self._made[1]


def _things(plant: Plant) -> Iterator[FoundThing]:
    properties: dict[str, list[str]] = {}
    for name, each in plant.properties.items():
        properties.setdefault(each.tag, []).append(name)
    for tag, source in plant.sources.items():
        defined = plant.tags[tag]
        yield FoundThing(
            kind="tag",
            name=tag,
            of=source,
            unit=defined.unit,
            description=" ".join(filter(None, (defined.description, defined.area))),
            properties=tuple(properties.get(tag, ())),
        )
    for asset, described in plant.model.assets.items():
        yield FoundThing(kind="asset", name=asset, description=described.description)
        for name, operation in described.operations.items():
            yield FoundThing(
                kind="operation", name=f"{asset}.{name}", of=asset, description=operation.description
            )


def _words(thing: FoundThing) -> list[str]:
    return words_of(thing.name) * _NAME_WEIGHT + [
        word for text in (thing.description, thing.unit, *thing.properties) for word in words_of(text)
    ]


TWIN_FIND: Final = Tool(
    name="twin-find",
    description=(
        "Find tags, assets and operations by words, or by part of a name, when the exact name is not known."
    ),
    risk="low",
    arguments=TwinFind,
    result=ThingsFound,
    work=Finder().find,
    items="found",
)
