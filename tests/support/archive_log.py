"""Events as a log would hold them: stored messages with headers, numbered within each stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from plantops.archive.batch import Batch
from plantops.archive.entries import Entry, entry_of, entry_row
from plantops.archive.journal import derived
from plantops.events import Event
from plantops.flow.bus import Stored
from plantops.flow.processor import Recorded
from plantops.flow.signing import Signer
from plantops.flow.step import step
from plantops.gate.core import Gate
from support.plant_samples import key


class Log:
    """Streams that grow; `entries` in the order in which they were stored."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._last: dict[str, int] = {}

    def append(
        self,
        stream: str,
        subject: str,
        event: Event,
        *,
        at_ns: int,
        signer: str = "",
        id: str = "",  # noqa: A002 - the attribute's name
        causation: str = "",
        correlation: str = "",
    ) -> Entry:
        """Store one event as its signer would send it."""
        sequence = self._last[stream] = self._last.get(stream, 0) + 1
        message = Signer(signer, key(signer or "nobody")).message(
            subject,
            event,
            id=id or f"{stream}.{sequence}",
            time=at_ns,
            causation=causation,
            correlation=correlation,
        )
        stored = Stored(stream, sequence, subject, message.data, at_ns, message.headers)
        self.entries.append(entry_of(stored, event, signer))
        return self.entries[-1]

    def judged(
        self, gate: Gate, history: Iterable[Recorded], talks: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Store a history with the gate's answers behind what they answer, as its shell would.

        `talks`: the correlation of commands.
        """
        state = gate.initial()
        for recorded in history:
            assert isinstance(recorded.fact, Event)
            entry = self.append(
                recorded.stream,
                recorded.subject,
                recorded.fact,
                at_ns=recorded.time_ns,
                signer=recorded.signer,
                # An executor names the command as its cause, since a permit is all that it knows.
                causation=_command(recorded) if recorded.stream == "COMMANDS" else "",
                correlation=talks.get(_command(recorded), ""),
            )
            state, own = step(gate, state, recorded)
            for answer in own:
                assert isinstance(answer.fact, Event)
                self.append(
                    "COMMANDS",
                    answer.subject,
                    answer.fact,
                    at_ns=answer.time_ns,
                    signer=gate.name,
                    id=answer.id,
                    causation=entry.id,
                    correlation=entry.correlation,
                )


def _command(recorded: Recorded) -> str:
    return str(getattr(recorded.fact, "command", ""))


def batch_of(entries: Iterable[Entry]) -> Batch:
    """All rows of these entries."""
    batch = Batch()
    for table, row in rows_of(entries):
        batch.add(table, row)
    return batch


def rows_of(entries: Iterable[Entry]) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Table and row, the event's own first."""
    for entry in entries:
        yield "event", entry_row(entry)
        yield from derived(entry)
