"""A file that says "at work" by its age: whoever watches needs no program of ours to look at it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from plantops.runtime.errors import SettingsError

BEAT_SECONDS: Final = 1.0


async def beat(path: Path, is_well: Callable[[], bool]) -> None:
    """Renew `path` every second in which `is_well`, until cancelled; an event loop that hangs lets it age.

    A file of a former run is removed first. Raises: SettingsError when it cannot be written.
    """
    try:
        _remove(path)
        while True:
            if is_well():
                _renew(path)
            await asyncio.sleep(BEAT_SECONDS)
    except OSError as error:
        raise SettingsError(
            f"cannot write the heartbeat {path}: {error.strerror}; give a file in a folder of our own",
            setting="heartbeat",
        ) from error


# One system call each, on a file in memory: not worth a thread.
def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _renew(path: Path) -> None:
    path.touch()
