"""What a reader has seen of a log before, so that a log that went back or forked is noticed.

Files alone cannot show that a log was once longer; whoever remembers an older checkpoint can. Keep what is
remembered away from the log's own host.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.tree import EMPTY_ROOT, HASH_BYTES, Tree, verify_consistency
from plantops.runtime.errors import IntegrityError

_DECODER: Final = msgspec.json.Decoder(Checkpoint, strict=True)


def compare(remembered: Checkpoint, new: Checkpoint, proof: Sequence[bytes] = ()) -> Finding | None:
    """Say what is wrong with `new`, both verified; `proof` shows that it extends what is remembered.

    None means that `new` may be remembered in its place. Without a proof, only an equal size can pass.
    """
    finding = compare_sizes(remembered, new)
    if finding is not None or remembered.size == new.size:
        return finding
    if verify_consistency(remembered.size, remembered.root, new.size, new.root, proof):
        return None
    return _forked(remembered, new, "no proof shows that it extends")


def compare_rebuilt(remembered: Checkpoint, new: Checkpoint, leaves: Iterable[bytes]) -> Finding | None:
    """As `compare`, from the leaf hashes of `new` in order instead of a proof; reads each once."""
    finding = compare_sizes(remembered, new)
    if finding is not None:
        return finding
    tree = Tree()
    old_root = EMPTY_ROOT
    for leaf in leaves:
        tree.append_hash(leaf)
        if tree.size == remembered.size:
            old_root = tree.root()
    if (tree.size, tree.root()) != (new.size, new.root):
        return _forked(
            remembered, new, f"its {tree.size} entries do not give its root, so nothing shows it extends"
        )
    if old_root != remembered.root:
        return _forked(remembered, new, f"its first {remembered.size} entries are not those of")
    return None


def remember(path: Path, checkpoint: Checkpoint) -> None:
    """Store a checkpoint that `compare` let pass; after a crash the file holds the old or the new one, whole.

    Raises:
        IntegrityError: it cannot be written; then the new checkpoint must not be relied on.
    """
    replace_file(path, msgspec.json.encode(checkpoint))


def replace_file(path: Path, data: bytes) -> None:
    """Write and sync a file; after a crash it is the old or the new one, whole.

    Raises:
        IntegrityError: it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # the new name too must survive a power cut
        finally:
            os.close(folder)
    except OSError as error:
        raise IntegrityError(f"cannot write {path}: {error.strerror}", path=str(path)) from error


def recall(path: Path) -> Checkpoint | None:
    """Give what was remembered; None when there is no file, which for a known log is an alarm of its own.

    Raises:
        IntegrityError: the file cannot be read or is damaged.
    """
    try:
        checkpoint = _DECODER.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IntegrityError(f"cannot read {path}: {error.strerror}", path=str(path)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(path) from error
    if checkpoint.size < 0 or len(checkpoint.root) != HASH_BYTES:
        raise _damaged(path)
    return checkpoint


def _damaged(path: Path) -> IntegrityError:
    message = f"{path} is damaged: restore it, or compare the log with another witness before removing it"
    return IntegrityError(message, path=str(path))


def compare_sizes(remembered: Checkpoint, new: Checkpoint) -> Finding | None:
    """What is wrong already without any proof: another log, a smaller one, another root for the same size."""
    if remembered.origin != new.origin:
        detail = (
            f"log {new.origin!r} stands where {remembered.origin!r} was: it was replaced or created again"
        )
        return Finding(FindingKind.OTHER_LOG, None, "", detail)
    if new.size < remembered.size:
        detail = f"log {new.origin!r} shrank from {remembered.size} to {new.size} entries"
        return Finding(FindingKind.SHRUNK, new.size, "", detail)
    if new.size == remembered.size and new.root != remembered.root:
        detail = f"log {new.origin!r} shows another root for the same {new.size} entries: it was rewritten"
        return Finding(FindingKind.OTHER_ROOT, None, "", detail)
    return None


def _forked(remembered: Checkpoint, new: Checkpoint, why: str) -> Finding:
    detail = f"log {new.origin!r} of {new.size} entries: {why} the {remembered.size} entries seen before"
    return Finding(FindingKind.FORKED, None, "", detail)
