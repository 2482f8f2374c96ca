"""Files that are there whole or not at all, hashed while they are written."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from plantops.runtime.errors import IntegrityError, StorageFull

UNFINISHED: Final = ".part"
"""The ending of a file that is being written; one that is found later is from a crash."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CHUNK: Final = 1 << 20


class HashedFile:
    """A file that counts and hashes what is written to it, in order. Writers that seek are not served."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Of what was written so far, hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        """All of it. Raises: OSError."""
        self._hash.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.flush()


@contextmanager
def durable(path: Path) -> Iterator[HashedFile]:
    """A new file; when this ends it is on the disk under its name, whole, whatever the machine does next.

    Raises: IntegrityError when the name is taken, since no file is ever written anew; StorageFull.
    """
    make_folder(path.parent)
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        with unfinished.open("wb") as file:
            yield HashedFile(file)
            file.flush()
            os.fsync(file.fileno())
        _name(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise StorageFull(
                f"{path} cannot be written, the disk is full: make room on it", path=str(path)
            ) from error
        raise
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _name(unfinished: Path, path: Path) -> None:
    if path.exists():
        raise IntegrityError(f"{path} exists already and is not written anew: examine it", path=str(path))
    unfinished.rename(path)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """The folder and those above it, their names on the disk."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True, mode=0o700)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Names in a folder too must survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path, progress: Callable[[int], None] = lambda _: None) -> tuple[int, str]:
    """Bytes and digest of a file, read in pieces; `progress` is told the length of each. Raises: OSError."""
    total, digest = 0, hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            total += len(piece)
            progress(len(piece))
    return total, digest.hexdigest()
