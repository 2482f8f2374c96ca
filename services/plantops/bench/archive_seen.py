"""What the bench sees of a running archive: how far it is, by the broker, and what its file holds after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import msgspec

from plantops.archive.condition import Condition, load_condition
from plantops.archive.place import LIVE_FILE
from plantops.archive.specs import ARCHIVE
from plantops.bench.ground import Ground
from plantops.bench.machine import resident_megabytes
from plantops.bench.publisher import APART, SAMPLES
from plantops.deployment.runtime_file import read_running
from plantops.deployment.site import Site
from plantops.runtime.errors import BrokerUnavailable, IntegrityError, SettingsError

START_SECONDS = 60.0
DRAIN_SECONDS = 90.0


class _Floor(msgspec.Struct):
    stream_seq: int


class _Consumer(msgspec.Struct):
    name: str
    ack_floor: _Floor


class _State(msgspec.Struct):
    messages: int
    bytes: int


class _Stream(msgspec.Struct):
    name: str
    state: _State
    consumer_detail: list[_Consumer] = []


class _Account(msgspec.Struct):
    name: str
    stream_detail: list[_Stream] = []


class _JetStream(msgspec.Struct):
    account_details: list[_Account] = []


async def stream_seen(port: int, name: str = "TAGS") -> _Stream:
    """A stream of the plant as the broker's monitor tells it. Raises: BrokerUnavailable."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /jsz?acc=PLANT&streams=true&consumers=true HTTP/1.0\r\n\r\n")
        _head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    told = msgspec.json.decode(body, type=_JetStream)
    for account in told.account_details:
        for stream in account.stream_detail:
            if stream.name == name:
                return stream
    raise BrokerUnavailable(f"the broker's monitor tells nothing of stream {name!r}")


@dataclass
class ArchiveSeen:
    """`floors` holds (time of the look, last frame acknowledged), both rising.

    The archive acknowledges what is committed, and nothing before: a frame below the floor is on the disk.
    """

    state: Path
    pid: int
    monitor_port: int
    floors: list[tuple[float, int]] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    @property
    def floor(self) -> int:
        """The last one seen."""
        return self.floors[-1][1] if self.floors else 0

    @property
    def commits(self) -> int:
        """How many different floors were seen: at least so many commits there were."""
        return len({floor for _, floor in self.floors if floor})

    async def look(self) -> int:
        """The floor now. Raises: BrokerUnavailable."""
        stream = await stream_seen(self.monitor_port)
        [floor] = [each.ack_floor.stream_seq for each in stream.consumer_detail if each.name == ARCHIVE]
        self.floors.append((time.monotonic(), floor))
        return floor

    async def watch(self, pause_seconds: float) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(pause_seconds)

    async def weigh(self) -> None:
        """Its memory (PSS), every second until cancelled."""
        while True:
            self.megabytes.append(resident_megabytes(self.pid)[1])
            await asyncio.sleep(1.0)

    def condition(self) -> Condition | None:
        """What it tells of itself."""
        return load_condition(self.state)

    async def until(self, frames: int) -> None:
        """All these frames are committed; somebody watches. Raises: TimeoutError."""
        async with asyncio.timeout(DRAIN_SECONDS):
            while self.floor < frames:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.02)


@asynccontextmanager
async def archive_seen(here: Ground) -> AsyncIterator[ArchiveSeen]:
    """The archive of a site, at work. Raises: BrokerUnavailable when it does not start."""
    running = read_running(here.site.folder)
    if running is None:
        raise SettingsError("the bench's site does not run")
    process = here.processes[ARCHIVE]
    seen = ArchiveSeen(here.site.folder.state(ARCHIVE), process.pid, running.monitor_port)
    try:
        async with asyncio.timeout(START_SECONDS):
            while seen.condition() is None and process.returncode is None:  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise BrokerUnavailable(f"the archive did not start:\n{here.log_tail()}") from error
    if process.returncode is not None:
        raise BrokerUnavailable(f"the archive ended:\n{here.log_tail()}")
    yield seen


async def stopped(here: Ground) -> Path:
    """End the archive in good order; its live file, which nobody has now. Raises: TimeoutError."""
    process = here.processes[ARCHIVE]
    if process.returncode is None:
        process.terminate()
    async with asyncio.timeout(START_SECONDS):
        await process.wait()
    return live_file(here.site)


def live_file(site: Site) -> Path:
    """Where the live file of a site is."""
    return site.folder.state(ARCHIVE) / LIVE_FILE


_COUNTERS = f"""
    WITH told AS (
        SELECT substr(series.tag, length('bench.c') + 1)::BIGINT AS tag, count(*) AS samples,
               count(DISTINCT value) AS different, min(value) AS lowest, max(value) AS highest
        FROM sample JOIN series USING (series) GROUP BY tag
    ),
    followed AS (
        SELECT value <= lag(value) OVER (PARTITION BY series ORDER BY sequence, place) AS is_back FROM sample
    )
    SELECT coalesce(sum(samples), 0)::BIGINT,
           count(*) FILTER (different <> samples OR highest - lowest + 1 <> samples
                            OR lowest <> tag * {APART} + 1),
           (SELECT count(*) FROM followed WHERE is_back),
           (SELECT count(*) FROM frame), (SELECT count(*) FROM hole), (SELECT count(*) FROM unread),
           (SELECT sum(samples)::BIGINT FROM rollup_1s), (SELECT sum(samples)::BIGINT FROM rollup_1m),
           (SELECT sum(samples)::BIGINT FROM rollup_1h),
           (SELECT sequence FROM position WHERE stream = 'TAGS')
    FROM told
"""  # noqa: S608 - a number of ours


def check_counters(path: Path, frames: int) -> int:
    """Every sample of so many frames of the publisher's is in the file once, in its order, and in each
    roll-up once.

    Gives how many. Raises: IntegrityError.
    """
    samples = frames * SAMPLES
    with duckdb.connect(str(path), read_only=True) as connection:
        told = connection.execute(_COUNTERS).fetchall()[0]
    wanted = (samples, 0, 0, frames, 0, 0, samples, samples, samples, frames)
    if told != wanted:
        raise IntegrityError(
            f"the archive has {told}, not {wanted} (samples, broken counters, out of order, frames, holes, "
            "unread, samples in each roll-up, position): such a run is void"
        )
    return samples
