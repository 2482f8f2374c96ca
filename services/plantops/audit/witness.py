"""A witness's core: what it has seen of one log, and whether the next checkpoint extends that.

Pure but for its own file. It trusts no proof: it hashes the records that it read itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from plantops.ledger import highwater
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.tree import Tree
from plantops.runtime.errors import IntegrityError

SEEN_FILE: Final = "witness.seen"


class Disputed(IntegrityError):
    """What is shown is no continuation of what was seen: nothing is cosigned. `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(
            f"{finding.detail}; keep both, trust neither, and call the security engineer", path="AUDIT"
        )
        self.finding = finding


class Seen(msgspec.Struct, frozen=True):
    """The last checkpoint that was found good, the tree under it, and which stream held the records."""

    checkpoint: Checkpoint
    tree: bytes
    created: str = ""


class Witness:
    """What is remembered in `path`; `seen` is None before the first checkpoint. Raises: IntegrityError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seen = _recall(path)
        self._tree = Tree() if self.seen is None else Tree.load(self.seen.tree)

    @property
    def size(self) -> int:
        """How many records it has seen under a good checkpoint."""
        return self._tree.size

    def check_stream(self, first: int, last: int, created: str) -> None:
        """Compare with the stream as it is. Raises: Disputed."""
        if self.seen is not None and self.seen.created and created != self.seen.created:
            raise _disputed(FindingKind.OTHER_LOG, f"AUDIT was deleted and created again at {created}")
        if last < self.size:
            raise _disputed(FindingKind.SHRUNK, f"AUDIT shrank from {self.size} to {last} records", last)
        if last and first > 1:
            raise _disputed(FindingKind.STREAM_GAP, f"records 0 to {first - 2} of AUDIT are gone", 0)

    def check_checkpoint(self, found: Checkpoint | None) -> None:
        """Compare with what was seen, by sizes and roots alone. Raises: Disputed."""
        if self.seen is None:
            return
        if found is None:
            detail = f"CHECKPOINTS lost the checkpoint over {self.size} records"
            raise _disputed(FindingKind.CHECKPOINT_MISSING, detail)
        wrong = highwater.compare_sizes(self.seen.checkpoint, found)
        if wrong is not None:
            raise Disputed(wrong)

    def extend(self, found: Checkpoint, leaves: Iterable[bytes], *, created: str = "") -> None:
        """Remember `found` on disk, if the leaf hashes behind `size` lead to its root.

        Only when this has returned may anything be signed. Raises: Disputed; IntegrityError when the disk
        refuses: then nothing was remembered.
        """
        self.check_checkpoint(found)
        tree = Tree.load(self._tree.dump())
        for leaf in leaves:
            tree.append_hash(leaf)
        if (tree.size, tree.root()) != (found.size, found.root):
            detail = (
                f"records {self.size} to {found.size - 1} do not lead from the root over {self.size} to that "
                f"over {found.size} that was signed: the log was forked or rewritten"
            )
            raise _disputed(FindingKind.FORKED, detail)
        seen = Seen(found, tree.dump(), created)
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        highwater.replace_file(self._path, msgspec.json.encode(seen))
        self.seen, self._tree = seen, tree


def _disputed(kind: FindingKind, detail: str, index: int | None = None) -> Disputed:
    return Disputed(Finding(kind, index, "", detail))


def _recall(path: Path) -> Seen | None:
    try:
        seen = msgspec.json.decode(path.read_bytes(), type=Seen)
        tree = Tree.load(seen.tree)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IntegrityError(f"cannot read {path}: {error.strerror}", path=str(path)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, IntegrityError) as error:
        raise _damaged(path) from error
    if (tree.size, tree.root()) != (seen.checkpoint.size, seen.checkpoint.root):
        raise _damaged(path)
    return seen


def _damaged(path: Path) -> IntegrityError:
    return IntegrityError(
        f"{path} is damaged: restore it, or compare the log with another witness before removing it",
        path=str(path),
    )
