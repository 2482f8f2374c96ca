"""All benches, one line each, in the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence

from plantops.bench import (
    archive_disk,
    archive_ingest,
    archive_panels,
    archive_replay,
    archive_served,
    audit,
    audit_growth,
    audit_million,
    audit_mutations,
    chat,
    chat_million,
    commands,
    decisions,
    executors,
    frames,
    latency,
    memory,
    modbus,
    opcua,
    processes,
    sse,
    stops,
)
from plantops.bench.figures import Bench
from plantops.runtime.errors import SettingsError

BENCHES: tuple[Bench, ...] = (
    frames.BENCH,
    modbus.BENCH,
    opcua.BENCH,
    latency.BENCH,
    commands.BENCH,
    stops.BENCH,
    executors.BENCH,
    chat.BENCH,
    chat_million.BENCH,
    sse.BENCH,
    decisions.BENCH,
    audit.BENCH,
    audit_million.BENCH,
    audit_mutations.BENCH,
    audit_growth.BENCH,
    archive_ingest.BENCH,
    archive_served.BENCH,
    archive_replay.BENCH,
    archive_disk.BENCH,
    archive_panels.BENCH,
    processes.BENCH,
    memory.BENCH,
)


def benches(names: Sequence[str]) -> tuple[Bench, ...]:
    """Those of these names; when none is given, all that take no more time than usual.

    Raises: SettingsError for an unknown one.
    """
    known = {bench.name: bench for bench in BENCHES}
    for name in names:
        if name not in known:
            raise SettingsError(f"no bench {name!r}; there are {', '.join(known)}", setting="only")
    if not names:
        return tuple(bench for bench in BENCHES if not bench.more_seconds)
    return tuple(bench for bench in BENCHES if bench.name in names)
