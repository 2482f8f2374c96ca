"""Examining the bundles of a large export in several processes: signatures are nearly all of the work."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Final

from plantops.ledger.bundles import Examined, Examiner, Task, examine, one_by_one
from plantops.runtime.errors import IntegrityError

PARALLEL_RECORDS: Final = 20_000
"""Below this a verification is over before other processes have started."""
_BUNDLES: Final = 8
_MAX_PROCESSES: Final = 16


def examiner_for(size: int, *, processes: int = 0) -> Examiner:
    """The quickest for a log of this size; `processes` 0 means one for each processor that we may use."""
    count = min(processes or len(os.sched_getaffinity(0)), _MAX_PROCESSES)
    return one_by_one if count < 2 or size < PARALLEL_RECORDS else Parallel(count)


class Parallel:
    """An examiner with `processes` workers; a few bundles per worker are on their way at any time."""

    def __init__(self, processes: int) -> None:
        self._processes = processes

    def __call__(self, work: Iterator[Task]) -> Iterator[Examined]:
        """Raises: IntegrityError when a file cannot be read, or a worker was killed."""
        # Not forked: whoever verifies may have threads, and a lock of theirs would stay locked in a fork.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self._processes, mp_context=context)
        pending: deque[Future[list[Examined]]] = deque()
        try:
            while batch := list(islice(work, _BUNDLES)):
                pending.append(pool.submit(_examine_all, batch))
                if len(pending) >= 4 * self._processes:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        except BrokenProcessPool as error:
            raise IntegrityError(
                "a verifying process was killed (out of memory?): nothing was decided, run it again"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _examine_all(batch: Sequence[Task]) -> list[Examined]:
    return [examine(task) for task in batch]
