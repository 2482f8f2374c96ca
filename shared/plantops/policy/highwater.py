"""The newest policy and trust root that a process has followed, remembered beyond the broker's memory.

A stream that was deleted, restored from an older copy or rewritten looks like any other: only who remembers
what stood there can tell. Whoever decides or executes keeps this file in its own folder.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plantops.events.base import Digest
from plantops.policy.document import TrustRoot
from plantops.policy.roots import root_digest
from plantops.policy.verified import Verified
from plantops.runtime.errors import IntegrityError, StorageError, StorageFull

FILE_NAME = "policy.highwater"


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trust root and a policy, by number and digest."""

    root_version: int
    root: Digest
    revision: int
    digest: Digest

    @classmethod
    def of(cls, root: TrustRoot, verified: Verified) -> Mark:
        return cls(root.version, root_digest(root), verified.policy.revision, verified.digest)


@dataclass
class HighWater:
    """One process's mark and its file; `mark` is None before the first policy."""

    path: Path
    mark: Mark | None = None

    @classmethod
    def load(cls, path: Path) -> HighWater:
        """Raises: IntegrityError when the file is there and cannot be read as a mark."""
        try:
            return cls(path, _DECODER.decode(path.read_bytes()))
        except FileNotFoundError:
            return cls(path)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise IntegrityError(
                f"{path} is damaged ({error}): make sure that the newest policy is the one that is published"
                " (`plantops policy verify`, then `activate`), then remove the file",
                path=str(path),
            ) from error

    def rollback(self, root: TrustRoot, verified: Verified) -> str:
        """Why these may not be followed here, as a sentence; empty when they may."""
        mark = self.mark
        if mark is None:
            return ""
        new = Mark.of(root, verified)
        pairs = (
            ("trust root version", new.root_version, new.root, mark.root_version, mark.root),
            ("policy revision", new.revision, new.digest, mark.revision, mark.digest),
        )
        for what, number, digest, followed, known in pairs:
            if number < followed:
                problem = f"{what} {number}, older than {followed}, which was followed here before"
            elif number == followed and digest != known:
                problem = f"another {what} {number} ({digest[:12]}) than was followed here ({known[:12]})"
            else:
                continue
            return (
                f"the stream POLICY offers {problem}: it was deleted or restored from an older copy. Publish"
                " the newest again (`plantops policy root publish`, `plantops policy activate`); only if the"
                f" older one is what you want, remove {self.path}"
            )
        return ""

    def raise_to(self, root: TrustRoot, verified: Verified) -> None:
        """Remember these, on the disk before it returns. The caller has asked `rollback`.

        Raises: StorageError; then they are remembered until the process ends.
        """
        self.set(Mark.of(root, verified))

    def set(self, new: Mark) -> None:
        """Remember this mark, on the disk before it returns. Raises: as `raise_to`."""
        if new == self.mark:
            return
        self.mark = new
        try:
            self._write(msgspec.json.encode(new))
        except OSError as error:
            kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
            raise kind(
                f"{self.path} cannot be written ({error.strerror}): until it can, a restart does not know"
                f" that revision {new.revision} was followed",
                path=str(self.path),
            ) from error

    def _write(self, data: bytes) -> None:
        draft = self.path.with_name(f".{self.path.name}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # a rename is on the disk when its folder is
        finally:
            os.close(folder)


_DECODER = msgspec.json.Decoder(Mark)
