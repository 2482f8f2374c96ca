"""What an archive does not hold of its streams, found from the sequences that it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb

from plantops.archive.portable import TAGS


@dataclass(frozen=True, slots=True)
class Loss:
    """Sequences `first` to `last` of a stream that are in no table; or, with 0 and 0, what `text` says."""

    stream: str
    first: int
    last: int
    text: str


# Every message of a stream is a frame, an event or unread; a hole stands for those that the stream had lost.
_HELD: Final = """
    SELECT 'TAGS' AS stream, sequence AS first, sequence AS last FROM frame
    UNION ALL SELECT stream, sequence, sequence FROM event
    UNION ALL SELECT stream, sequence, sequence FROM unread
    UNION ALL SELECT stream, first, last FROM hole
"""
_GAPS: Final = f"""
    SELECT stream, before + 1, first - 1 FROM (
        SELECT stream, first, coalesce(max(last) OVER (
            PARTITION BY stream ORDER BY first, last ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS before
        FROM ({_HELD})
    ) WHERE first > before + 1 ORDER BY ALL
"""  # noqa: S608 - a text of our own
_ENDS: Final = f"SELECT stream, max(last) FROM ({_HELD}) GROUP BY stream"  # noqa: S608
_SHORT: Final = """
    SELECT source, coalesce(told, 0), coalesce(held, 0) FROM
        (SELECT source, sum(samples)::BIGINT AS told FROM frame GROUP BY source)
        FULL JOIN (SELECT series.source AS source, sum(n)::BIGINT AS held FROM
            (SELECT series, count(*) AS n FROM sample GROUP BY series) JOIN series USING (series)
            GROUP BY series.source) USING (source)
    WHERE coalesce(told, 0) <> coalesce(held, 0) ORDER BY source
"""


def losses(
    connection: duckdb.DuckDBPyConnection, undefined: Mapping[str, Sequence[str]]
) -> tuple[tuple[Loss, ...], dict[str, int]]:
    """Everything that is missing, and by stream up to which sequence nothing is.

    `undefined` are tags by source whose definition is not there.
    """
    gaps = connection.execute(_GAPS).fetchall()
    found = [Loss(s, a, b, f"messages {a} to {b} of {s} are in no file") for s, a, b in gaps]
    whole = {stream: int(last) for stream, last in connection.execute(_ENDS).fetchall()}
    for loss in reversed(found):
        whole[loss.stream] = loss.first - 1
    for source, told, held in connection.execute(_SHORT).fetchall():
        text = f"the frames of {source!r} carried {told} samples, {held} are here"
        found.append(Loss(TAGS, 0, 0, text))
    for source, tags in undefined.items():
        found.append(
            Loss(TAGS, 0, 0, f"the definition of {len(tags)} tags of {source!r} is missing: {tags[0]!r} …")
        )
    return tuple(found), whole
