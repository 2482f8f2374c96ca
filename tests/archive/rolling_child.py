"""A process that rolls samples up and is killed while it does: forked on request, since that is quick.

Reads lines from standard input, each a seed; forks a worker for each, tells its number and how it ended. The
worker tells every step that it is about to take.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from archive.sampling import block, opened, random_samples, series_row
from plantops.archive.batch import Batch, Position
from plantops.archive.rolling import Roller
from plantops.archive.store import insert

PER_FRAME = 7
FRAMES = 500


def tell(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def work(path: Path, seed: int) -> None:
    """Go on from where the file stands to the end, in batches and with flushes at random."""
    chance = random.Random(seed)
    samples = random_samples(7, FRAMES * PER_FRAME)
    store = opened(path)
    if not store.positions():
        with store.transaction() as connection:
            rows = [series_row(n, "mill", f"t{n}") for n in range(1, 6)]
            insert(connection, Batch(rows={"series": rows}, positions={"TAGS": Position(0, "", 0)}))
    roller = Roller(store, limit=chance.choice([100, 1_000_000]))
    tell("resume")
    roller.resume()
    done = store.positions()["TAGS"].sequence
    while done < FRAMES:
        end = min(FRAMES, done + chance.randint(1, 10))
        batch = block(samples[done * PER_FRAME : end * PER_FRAME], done * PER_FRAME + 1, PER_FRAME)
        tell("insert")
        with store.transaction() as connection:
            insert(connection, Batch(samples=[batch], positions={"TAGS": Position(end, "", end)}))
            roller.fold(batch)
            if roller.is_full or chance.random() < 0.5 or end == FRAMES:
                tell("flush")
                roller.flush(connection, end)
            tell("commit")
        done = end
    store.close()


def main(path: Path) -> None:
    for line in sys.stdin:
        number = os.fork()
        if not number:
            work(path, int(line))
            os._exit(0)
        tell(f"pid {number}")
        _number, status = os.waitpid(number, 0)
        tell(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
