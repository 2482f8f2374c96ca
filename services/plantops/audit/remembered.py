"""The highest checkpoint that a person's own machine has verified of each log, away from the log's host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from plantops.audit.trust import AuditTrust
from plantops.ledger import highwater
from plantops.ledger.checkpoint import Checkpoint
from plantops.runtime.errors import IntegrityError

STATE: Final = "PLANTOPS_STATE"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


class _Note(msgspec.Struct, frozen=True):
    site: str
    notaries: tuple[str, ...]
    checkpoint: Checkpoint


def state_folder(environment: Mapping[str, str], home: Path) -> Path:
    """`PLANTOPS_STATE`, else `plantops` in the folder that the XDG base directory specification names."""
    if given := environment.get(STATE):
        return Path(given)
    base = environment.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else home / ".local" / "state") / "plantops"


class Remembered:
    """Notes by site and notary: two sites of one name are told apart by their notaries' keys.

    A change of the notary's key finds the older note as long as the trust names the old key too.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "checkpoints"

    def recall(self, trust: AuditTrust) -> Checkpoint | None:
        """The highest that was verified; None at first. Raises: IntegrityError for a damaged note."""
        found = self._find(trust)
        return None if found is None else found[1].checkpoint

    def remember(self, trust: AuditTrust, checkpoint: Checkpoint) -> None:
        """Keep what was verified and compared with `recall`. Raises: IntegrityError when it cannot."""
        found = self._find(trust)
        name = f"{_UNSAFE.sub('_', trust.site)}.{trust.notary_keys[0].keyid}.json"
        path = found[0] if found else self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise IntegrityError(
                f"cannot keep what was verified in {self._folder}: {error.strerror}; set {STATE}",
                path=str(self._folder),
            ) from error
        highwater.replace_file(path, msgspec.json.encode(_Note(trust.site, trust.notaries, checkpoint)))

    def _find(self, trust: AuditTrust) -> tuple[Path, _Note] | None:
        for path in sorted(self._folder.glob("*.json")):
            try:
                note = msgspec.json.decode(path.read_bytes(), type=_Note)
            except OSError as error:
                raise IntegrityError(f"cannot read {path}: {error.strerror}", path=str(path)) from error
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise IntegrityError(
                    f"{path} is damaged: restore it, or ask another who remembers this log, then remove it",
                    path=str(path),
                ) from error
            if note.site == trust.site and set(note.notaries) & set(trust.notaries):
                return path, note
        return None
