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
    commands,
    decisions,
    executors,
    frames,
    latency,
    memory,
    modbus,
    opcua,
    processes,
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
    """Those of these names, all when none is given. Raises: SettingsError for an unknown one."""
    known = {bench.name: bench for bench in BENCHES}
    for name in names:
        if name not in known:
            raise SettingsError(f"no bench {name!r}; there are {', '.join(known)}", setting="only")
    return tuple(bench for bench in BENCHES if not names or bench.name in names)
