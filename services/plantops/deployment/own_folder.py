"""A process's own folder: high-water marks, journal and frames, with one user at a time.

Two processes under one identity in one folder would take each other's journal entries away, and a mark that
one has raised could be lowered by the other.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plantops.deployment.folder import SiteFolder
from plantops.policy.highwater import FILE_NAME, HighWater
from plantops.runtime.errors import SettingsError

LOCK_FILE = "in-use.lock"


@contextmanager
def held(folder: Path, name: str) -> Iterator[None]:
    """Make the folder, and use it alone until the block or the process ends, however it ends.

    Raises: SettingsError when another process uses it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"another {name!r} runs here and uses {folder}: stop it, or start this one as a further one"
                f" with a folder of its own (`plantops run {name} --replica 2`)",
                setting="replica",
            ) from None
        yield


def high_water(folder: SiteFolder, process: str, replica: int) -> HighWater:
    """What this one has followed; one that has followed nothing begins with what the first here has.

    The folder must exist. Raises: IntegrityError when a file cannot be read; StorageError.
    """
    own = HighWater.load(folder.state(process, replica) / FILE_NAME)
    if own.mark is None and replica > 1:
        first = HighWater.load(folder.state(process) / FILE_NAME)
        if first.mark is not None:
            own.set(first.mark)
    return own
