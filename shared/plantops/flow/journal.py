"""The stand-in for AUDIT: signed lines in a local file, on the disk before anybody acts on them.

A line is an entry, or a mark: "AUDIT was sent these entries, and afterwards the chain stands here". By the
last mark a process that died before it heard AUDIT's answer knows what is stored already.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path

import msgspec

from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import IntegrityError, TrustError

ENTRY_TYPE = "application/vnd.plantops.audit.journal.v1+json"
MARK_TYPE = "application/vnd.plantops.audit.journal-mark.v1+json"


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What will become an audit record; `body` is the exact JSON text of the event, `id` its own name."""

    kind: str
    command: str
    body: str
    at: datetime
    id: str = msgspec.field(default_factory=lambda: secrets.token_hex(12))


class Mark(msgspec.Struct, frozen=True):
    """Entries that were on their way to AUDIT; they are stored if the chain's head is this one."""

    ids: tuple[str, ...]
    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Contents:
    """Entries that AUDIT may not have yet, and marks, each in the order of writing."""

    entries: tuple[JournalEntry, ...] = ()
    marks: tuple[Mark, ...] = ()

    def stored_at(self, sequence: int, digest: str) -> frozenset[str]:
        """Entries that AUDIT has for sure when this is the head of the chain."""
        return frozenset(
            name
            for mark in self.marks
            if (mark.sequence, mark.hash) == (sequence, digest)
            for name in mark.ids
        )


@dataclass(frozen=True, slots=True)
class Journal:
    """One file, one signed envelope a line. Entries stay until AUDIT has them."""

    path: Path
    key: SigningKey

    def write(self, entry: JournalEntry) -> None:
        """Append one entry; returns when it is on the disk. Raises: IntegrityError when the disk refuses."""
        self._append(self._line(ENTRY_TYPE, entry))

    def mark(self, mark: Mark) -> None:
        """Append a mark, before the entries that it names are sent. Raises: as `write`."""
        self._append(self._line(MARK_TYPE, mark))

    def read(self) -> Contents:
        """All that was written and not settled. A last line without its end is left out: who wrote it died
        before he could act on it.

        Raises: IntegrityError when a line is not what this process signed.
        """
        entries: list[JournalEntry] = []
        marks: list[Mark] = []
        for number, line in enumerate(self._lines(), 1):
            try:
                envelope = dsse.decode(line)
                kind = ENTRY_TYPE if envelope.payloadType == ENTRY_TYPE else MARK_TYPE
                trusted = {self.key.keyid: self.key.public}
                payload = dsse.open_envelope(envelope, expected_type=kind, trusted=trusted).payload
                if kind == ENTRY_TYPE:
                    entries.append(msgspec.json.decode(payload, type=JournalEntry))
                else:
                    marks.append(msgspec.json.decode(payload, type=Mark))
            except (TrustError, msgspec.DecodeError) as error:
                raise IntegrityError(
                    f"{self.path}, line {number}: {error}; keep the file and call the security engineer",
                    path=str(self.path),
                ) from error
        return Contents(tuple(entries), tuple(marks))

    def pending(self) -> list[JournalEntry]:
        """Entries that AUDIT may not have yet, in the order of writing. Raises: as `read`."""
        return list(self.read().entries)

    def settle(self, ids: Collection[str]) -> None:
        """Forget entries that AUDIT has now; the file is replaced as a whole, or left as it was.

        Raises: as `read` and `write`.
        """
        rest = [entry for entry in self.read().entries if entry.id not in ids]
        try:
            if rest:
                self._replace(self._line(ENTRY_TYPE, entry) for entry in rest)
            else:
                self.path.unlink(missing_ok=True)
            self._sync_folder()
        except OSError as error:
            raise self._refused(error) from error

    def _lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise IntegrityError(
                f"cannot read the audit journal {self.path}: {error.strerror}", path=str(self.path)
            ) from error

    def _line(self, kind: str, content: msgspec.Struct) -> bytes:
        return dsse.encode(dsse.seal(kind, msgspec.json.encode(content), self.key)) + b"\n"

    def _append(self, line: bytes) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            is_new = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            with FileIO(descriptor, "r+") as file:
                _cut_torn_line(file)
                _write_whole(file, line)
                os.fsync(file.fileno())
            if is_new:
                self._sync_folder()
        except OSError as error:
            raise self._refused(error) from error

    def _replace(self, lines: Iterable[bytes]) -> None:
        fresh = self.path.with_name(f".{self.path.name}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # a name too must survive a power cut, or a settled entry would come back
        finally:
            os.close(folder)

    def _refused(self, error: OSError) -> IntegrityError:
        return IntegrityError(
            f"cannot write the audit journal {self.path}: {error.strerror}; free space or mend the rights",
            path=str(self.path),
        )


def _cut_torn_line(file: FileIO) -> None:
    """Leave the file at its end; what a crash or a full disk left there would spoil the next line."""
    if (size := file.seek(0, os.SEEK_END)) == 0:
        return
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        whole = file.readall().rfind(b"\n") + 1
        file.truncate(whole)
        file.seek(whole)


def _write_whole(file: FileIO, line: bytes) -> None:
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
