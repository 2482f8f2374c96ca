"""Examining the bundles of a large export in several processes: signatures are nearly all of the work.

A worker is a program of its own (`python -m plantops.audit.parallel`) that is told whose records count, then
bundle after bundle, on its standard input, and answers on its standard output; it ends when its input does.
It is neither forked, where a lock of another thread would stay locked, nor does it import its caller's
program anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import IO, Final

import msgspec

from plantops.ledger.bundles import Examined, Examiner, Task, examine, one_by_one
from plantops.ledger.keys import RevokedKey, VerifyKey
from plantops.ledger.record import Trusted
from plantops.runtime.errors import IntegrityError

PARALLEL_RECORDS: Final = 20_000
"""Below this a verification is over before other processes have started."""
_BUNDLES: Final = 8  # per message: some ms of work
_AHEAD: Final = 4  # messages that a worker has before it; far less than a pipe holds
_MAX_PROCESSES: Final = 16
_LENGTH_BYTES: Final = 4


class _Key(msgspec.Struct, frozen=True):
    raw: bytes
    until: int | None


class _Ground(msgspec.Struct, frozen=True):
    folder: str
    writers: dict[str, list[_Key]] | None


class _Batch(msgspec.Struct, frozen=True):
    bundles: list[tuple[int, int]]


class _Answer(msgspec.Struct, frozen=True):
    examined: list[Examined] = []
    error: str = ""
    path: str = ""


def examiner_for(size: int, *, processes: int = 0) -> Examiner:
    """The quickest for a log of this size; `processes` 0 means one for each processor that we may use."""
    count = min(processes or len(os.sched_getaffinity(0)), _MAX_PROCESSES)
    return one_by_one if count < 2 or size < PARALLEL_RECORDS else Parallel(count)


class Parallel:
    """An examiner with `processes` workers. All tasks must be of one folder and one set of writers."""

    def __init__(self, processes: int) -> None:
        self._processes = processes

    def __call__(self, work: Iterator[Task]) -> Iterator[Examined]:
        """Raises: IntegrityError when a file cannot be read, or a worker was killed."""
        with ExitStack() as stack:
            workers = [stack.enter_context(_Worker()) for _ in range(self._processes)]
            turns, pending, is_told = cycle(workers), deque[_Worker](), False
            while batch := list(islice(work, _BUNDLES)):
                if not is_told:
                    for worker in workers:
                        worker.say(_Ground(str(batch[0].folder), _written(batch[0].writers)))
                    is_told = True
                worker = next(turns)
                worker.say(_Batch([(task.number, task.width) for task in batch]))
                pending.append(worker)
                if len(pending) >= _AHEAD * self._processes:
                    yield from pending.popleft().hear()
            while pending:
                yield from pending.popleft().hear()


class _Worker:
    def __enter__(self) -> _Worker:
        words = [sys.executable, "-m", "plantops.audit.parallel"]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        return self

    def __exit__(self, *_error: object) -> None:
        # Whoever stops early does not wait for what was asked for.
        self._process.kill()
        self._process.communicate()

    def say(self, message: _Ground | _Batch) -> None:
        assert self._process.stdin is not None
        try:
            _write(self._process.stdin, message)
        except OSError as error:
            raise _gone() from error

    def hear(self) -> list[Examined]:
        assert self._process.stdout is not None
        data = _read(self._process.stdout)
        if data is None:
            raise _gone()
        answer = msgspec.msgpack.decode(data, type=_Answer)
        if answer.error:
            raise IntegrityError(answer.error, path=answer.path)
        return answer.examined


def _gone() -> IntegrityError:
    return IntegrityError(
        "a verifying process was killed (out of memory?): nothing was decided, run it again", path="processes"
    )


def _written(writers: Trusted | None) -> dict[str, list[_Key]] | None:
    if writers is None:
        return None
    return {
        name: [_Key(key.raw, key.until if isinstance(key, RevokedKey) else None) for key in keys.values()]
        for name, keys in writers.items()
    }


def _trusted(written: Mapping[str, list[_Key]] | None) -> Trusted | None:
    if written is None:
        return None
    made = {
        name: [VerifyKey(key.raw) if key.until is None else RevokedKey(key.raw, key.until) for key in keys]
        for name, keys in written.items()
    }
    return {name: {key.keyid: key for key in keys} for name, keys in made.items()}


def _write(file: IO[bytes], message: object) -> None:
    data = msgspec.msgpack.encode(message)
    file.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
    file.flush()


def _read(file: IO[bytes]) -> bytes | None:
    """One message; None at the end."""
    head = file.read(_LENGTH_BYTES)
    size = int.from_bytes(head, "big")
    data = file.read(size) if len(head) == _LENGTH_BYTES else b""
    return data if head and len(data) == size else None


def work(source: IO[bytes], target: IO[bytes]) -> None:
    """What a worker does until its input ends."""
    first = _read(source)
    if first is None:
        return
    ground = msgspec.msgpack.decode(first, type=_Ground)
    folder, writers = Path(ground.folder), _trusted(ground.writers)
    while (data := _read(source)) is not None:
        batch = msgspec.msgpack.decode(data, type=_Batch)
        try:
            examined = [examine(Task(folder, number, width, writers)) for number, width in batch.bundles]
            _write(target, _Answer(examined))
        except IntegrityError as error:
            _write(target, _Answer(error=error.message, path=error.path))


if __name__ == "__main__":
    work(sys.stdin.buffer, sys.stdout.buffer)
