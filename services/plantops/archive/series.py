"""Which number a tag has in this archive, and what its newest definition says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plantops.archive.batch import Batch, Row
from plantops.archive.entry import checked
from plantops.archive.plant_tables import LAYOUT, SERIES
from plantops.archive.store import Store
from plantops.events.base import encode_json
from plantops.events.tags import SourceDefined, TagDefinition

Numbers = NDArray[np.int32]


class SeriesBook:
    """Numbers for (source, tag), given in the order of first use in TAGS. `known` and `layouts` are what the
    archive holds already: numbers by source and tag, and the layouts that were used by source and hash."""

    def __init__(self, known: Mapping[tuple[str, str], int], layouts: Iterable[tuple[str, str]]) -> None:
        self._numbers: Final = dict(known)
        self._stored: Final = set(layouts)
        self._checked: Final[set[tuple[str, str]]] = set()
        self._by_layout: Final[dict[tuple[str, str], Numbers]] = {}

    def require(self, definition: SourceDefined, layout: str) -> None:
        """Raises: EventUnreadable when a number in a definition fits no column of table `series`."""
        key = (definition.source, layout)
        if key not in self._checked:
            for tag in definition.tags:
                checked(SERIES, series_row(definition, tag, 0, layout))
            self._checked.add(key)

    def numbers(self, definition: SourceDefined, layout: str, sequence: int, batch: Batch) -> Numbers:
        """The series number of each tag of a definition, by position.

        The first use of a layout adds its row to `batch`, and the rows of all its tags, which replace those
        of an older definition.
        """
        key = (definition.source, layout)
        found = self._by_layout.get(key)
        if found is None:
            found = self._by_layout[key] = self._number(definition)
            if key not in self._stored:
                self._stored.add(key)
                self._tell(definition, layout, sequence, found, batch)
        return found

    def _number(self, definition: SourceDefined) -> Numbers:
        source, numbers = definition.source, self._numbers
        for tag in definition.tags:
            numbers.setdefault((source, tag.name), len(numbers) + 1)
        return np.array([numbers[source, tag.name] for tag in definition.tags], "i4")

    def _tell(
        self, definition: SourceDefined, layout: str, sequence: int, numbers: Numbers, batch: Batch
    ) -> None:
        source = definition.source
        batch.add(LAYOUT.name, (source, layout, sequence, encode_json(definition).decode()))
        fresh = {
            number: series_row(definition, tag, number, layout)
            for number, tag in zip(numbers.tolist(), definition.tags, strict=True)
        }
        # Two layouts in one batch: the later one stays.
        kept = [row for row in batch.rows.get(SERIES.name, []) if row[0] not in fresh]
        batch.rows[SERIES.name] = [*kept, *fresh.values()]


def known_series(store: Store) -> SeriesBook:
    """Numbers and layouts as a live file holds them."""
    rows = store.connection.execute("SELECT source, tag, series FROM series").fetchall()
    layouts = store.connection.execute("SELECT source, layout FROM layout").fetchall()
    return SeriesBook({(source, tag): number for source, tag, number in rows}, layouts)


def series_row(definition: SourceDefined, tag: TagDefinition, number: int, layout: str) -> Row:
    """The row of table `series` for one tag."""
    engineering = tag.engineering
    return (
        number,
        definition.source,
        tag.name,
        tag.kind,
        tag.unit,
        tag.description,
        tag.area,
        definition.groups[tag.group].period_ms,
        None if engineering is None else engineering.low,
        None if engineering is None else engineering.high,
        layout,
    )
