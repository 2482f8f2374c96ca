"""Commands in a live file, decided by the gate's own core: what the panels on commands and audit look at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from plantops.archive.batch import Batch, Position, Row
from plantops.archive.entries import entry_row
from plantops.archive.entry import Entry
from plantops.archive.journal import derived
from plantops.archive.record_tables import AUDIT, EVENT
from plantops.archive.store import Store, insert
from plantops.bench.archive_made import CREATED, SITE
from plantops.bench.decisions import Demo, demo_in, executed, history_of
from plantops.events import Event, event_type
from plantops.events.base import encode_json
from plantops.flow.processor import Recorded
from plantops.flow.step import step
from plantops.gate.core import Gate
from plantops.policy.verify import load_root
from plantops.runtime.errors import IntegrityError


def add_commands(path: Path, folder: Path, count: int, begin: int, end: int) -> None:
    """Put `count` executed commands and their audit records into a live file, evenly from `begin` to `end`
    (µs since 1970). `folder` is for the demo site whose policy and plant decide."""
    demo = demo_in(folder)
    batch = Batch()
    entries = list(_numbered(_told(demo, count), begin, end))
    for entry in entries:
        batch.add(EVENT.name, entry_row(entry))
        for table, row in derived(entry):
            batch.add(table, row)
    for stream in {entry.stream for entry in entries}:
        last = max(entry.sequence for entry in entries if entry.stream == stream)
        batch.positions[stream] = Position(last, CREATED, end)
    batch.rows[AUDIT.name] = list(_audited(entries))
    batch.positions["AUDIT"] = Position(len(batch.rows[AUDIT.name]), CREATED, end)
    store = Store.open(path, SITE)
    try:
        with store.transaction() as connection:
            insert(connection, batch)
    finally:
        store.close()


def _told(demo: Demo, count: int) -> Iterator[Recorded]:
    """A policy, and each intent with what follows from it. Raises: IntegrityError when one is not run."""
    gate = Gate(demo.site.name, demo.site.plant, load_root(demo.site.folder.trust_root))  # type: ignore[arg-type]
    policy, *asked = history_of(demo, "medium", count)
    state, _ = step(gate, gate.initial(), policy)
    yield policy
    for number, recorded in enumerate(asked, 1):
        state, own = step(gate, state, recorded)
        said = executed(demo, own, number)
        if not said:
            raise IntegrityError(f"the gate did not let command {number} of the bench through")
        for each in said:
            state, _ = step(gate, state, each)
        yield from (recorded, *own, *said)


def _numbered(told: Iterable[Recorded], begin: int, end: int) -> Iterator[Entry]:
    all_of = list(told)
    last: dict[str, int] = {}
    for place, recorded in enumerate(all_of):
        event = recorded.fact
        assert isinstance(event, Event)
        sequence = last[recorded.stream] = last.get(recorded.stream, 0) + 1
        yield Entry(
            stream=recorded.stream,
            sequence=sequence,
            stored_at=begin + (end - begin) * place // len(all_of),
            subject=recorded.subject,
            type=event_type(event),
            version=event.version,
            id=f"{recorded.stream}.{sequence}",
            signer=recorded.signer,
            causation="",
            correlation="",
            command=str(getattr(event, "command", "")),
            body=encode_json(event).decode(),
            event=event,
        )


def _audited(entries: Iterable[Entry]) -> Iterator[Row]:
    previous = ""
    for position, entry in enumerate(entry for entry in entries if entry.command):
        leaf = hashlib.sha256(entry.body.encode()).hexdigest()
        yield (
            position, entry.signer, position + 1, entry.stored_at, entry.type, entry.command, previous, leaf,
            entry.body,
        )  # fmt: skip
        previous = leaf
