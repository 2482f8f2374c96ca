"""`python -m plantops.bench.archive_reader FILE`: opens the served snapshot again and again, and asks it all
the time; tells four times a second how old what it saw was."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import msgspec

TURN_SECONDS = 0.25
QUESTIONS: Final = (
    "SELECT * FROM source_health",
    "SELECT bucket, total / numbers, minimum, maximum FROM rollup_1s WHERE series = 17 ORDER BY bucket",
    "SELECT observed_at, value FROM sample WHERE series = 17 ORDER BY observed_at",
    "SELECT source, sum(good) / sum(samples) FROM frame GROUP BY source",
    "SELECT tag, value, quality FROM latest JOIN series USING (series) ORDER BY tag LIMIT 100",
)


class Turn(msgspec.Struct):
    """One opening of the file. `age_seconds`: from its newest sample to now, -1 where it has none."""

    age_seconds: float = -1.0
    queries: int = 0
    slowest_seconds: float = 0.0
    error: str = ""


def turn(path: Path) -> Turn:
    """Open, look how old it is, and ask until the turn is over."""
    told, begun = Turn(), time.monotonic()
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            found = connection.execute("SELECT max(observed_at) FROM sample").fetchall()[0][0]
            if found is not None:
                told.age_seconds = (datetime.now(UTC) - found.replace(tzinfo=UTC)).total_seconds()
            while not told.queries or time.monotonic() - begun < TURN_SECONDS:
                asked = time.monotonic()
                connection.execute(QUESTIONS[told.queries % len(QUESTIONS)]).fetchall()
                told.queries += 1
                told.slowest_seconds = max(told.slowest_seconds, time.monotonic() - asked)
    except (duckdb.Error, OSError) as error:
        told.error = f"{type(error).__name__}: {error}"[:300]
    return told


def main(arguments: Sequence[str] | None = None) -> int:
    """Until it is stopped."""
    parser = argparse.ArgumentParser(prog="plantops.bench.archive_reader", description=__doc__)
    parser.add_argument("file", type=Path)
    path: Path = parser.parse_args(arguments).file
    while True:
        if not path.exists():
            time.sleep(TURN_SECONDS)
            continue
        sys.stdout.buffer.write(msgspec.json.encode(turn(path)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
