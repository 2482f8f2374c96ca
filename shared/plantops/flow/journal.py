"""The stand-in for AUDIT: signed lines in a local file, on the disk before anybody acts on them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import IntegrityError, TrustError

ENTRY_TYPE = "application/vnd.plantops.audit.journal.v1+json"


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What will become an audit record; `body` is the exact JSON text of the event."""

    kind: str
    command: str
    body: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Journal:
    """One file, one signed envelope a line. Entries stay until AUDIT has them."""

    path: Path
    key: SigningKey

    def write(self, entry: JournalEntry) -> None:
        """Append one entry; returns when it is on the disk. Raises: IntegrityError when the disk refuses."""
        payload = msgspec.json.encode(entry)
        line = dsse.encode(dsse.seal(ENTRY_TYPE, payload, self.key)) + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise IntegrityError(
                f"cannot write the audit journal {self.path}: {error.strerror}", path=str(self.path)
            ) from error

    def pending(self) -> list[JournalEntry]:
        """Entries that AUDIT does not have yet, in the order of writing; a torn last line is left out.

        Raises: IntegrityError when a line before the last is not what this process signed.
        """
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")
        entries: list[JournalEntry] = []
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                entries.append(self._open(line))
            except TrustError as error:
                if number == len(lines):  # no line end: the crash came in the middle of the write
                    continue
                raise IntegrityError(
                    f"{self.path}, line {number}: {error}; keep the file and call the security engineer",
                    path=str(self.path),
                ) from error
        return entries

    def settle(self, entries: Sequence[JournalEntry]) -> None:
        """Forget entries that AUDIT has now; the file is replaced as a whole."""
        rest = [entry for entry in self.pending() if entry not in entries]
        temporary = self.path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        for entry in rest:
            Journal(temporary, self.key).write(entry)
        if rest:
            temporary.replace(self.path)
        else:
            self.path.unlink(missing_ok=True)

    def _open(self, line: bytes) -> JournalEntry:
        envelope = dsse.decode(line)
        opened = dsse.open_envelope(
            envelope, expected_type=ENTRY_TYPE, trusted={self.key.keyid: self.key.public}
        )
        return msgspec.json.decode(opened.payload, type=JournalEntry)
