"""The archive's process on a busy site, killed again and again, and what it holds in the end."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import duckdb

from plantops.archive.condition import Condition, load_condition
from plantops.archive.durable import sha256_of
from plantops.archive.place import LIVE_FILE, PARQUET
from plantops.archive.replay import Wanted
from plantops.archive.specs import ARCHIVE, AUDIT_STREAMS, PLANT_STREAMS
from plantops.bench.ground import child, make_site, plant_process, running_broker
from plantops.cli.replaying import digests_of, replay_streams
from plantops.deployment.broker import connect
from plantops.deployment.site import Site
from plantops.runtime.nkey import NKey
from support.archive_feed import COUNTERS, SOURCES, Feed, feed
from support.nats import until

# Everything happens all the time, so that a kill meets each of it.
HURRIED = """
[archive]
commit_seconds = 0.05
serve_seconds = 0.5
[archive.parquet]
every_seconds = 0.5
grace_seconds = 0.0
quiet_seconds = 0.0
"""
LOGIN_STREAMS = (("archive", PLANT_STREAMS), ("archive-audit", AUDIT_STREAMS))
PATIENCE_SECONDS = 240.0


@dataclass
class Killed:
    """A site whose archive is killed at will. `ends` are the codes of runs that were not killed."""

    site: Site
    seed: int
    kills: int = 0
    ends: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    @property
    def folder(self) -> Path:
        return self.site.folder.state(ARCHIVE)

    def spawn(self) -> subprocess.Popen[bytes]:
        self.site.folder.logs.mkdir(parents=True, exist_ok=True)
        with (self.site.folder.logs / "archive.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *plant_process(self.site, ARCHIVE)], stdout=log, stderr=log
            )

    def log(self) -> str:
        path = self.site.folder.logs / "archive.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    async def kill(self, times: int) -> None:
        """One run after the other; each dies while it starts or while it works."""
        for _ in range(times):
            run = self.spawn()
            try:
                if self._dice.random() < 0.9:
                    await until(partial(self._works, run), seconds=PATIENCE_SECONDS)
                    if self._dice.random() < 0.7:
                        await until(partial(self._has_stored, run), seconds=PATIENCE_SECONDS)
                with suppress(TimeoutError):
                    await until(partial(_has_ended, run), seconds=self._dice.uniform(0.0, 1.5))
                if run.poll() is not None:
                    self.ends.append(run.returncode)
                    continue
                self.kills += 1
            finally:
                run.kill()
                run.wait()

    def _works(self, run: subprocess.Popen[bytes]) -> bool:
        """Whether it tells how it is, or has ended."""
        found = self.condition()
        return run.poll() is not None or (found is not None and found.pid == run.pid)

    def _has_stored(self, run: subprocess.Popen[bytes]) -> bool:
        found = self.condition()
        return run.poll() is not None or (found is not None and found.pid == run.pid and found.samples > 0)

    def condition(self) -> Condition | None:
        return load_condition(self.folder)

    async def close_all(self) -> None:
        """A run until all closed hours are in files that are audited."""
        run = self.spawn()
        passes: set[float] = set()
        try:
            await until(partial(self._has_closed, run, passes), seconds=PATIENCE_SECONDS)
        finally:
            self._end(run)

    async def _has_closed(self, run: subprocess.Popen[bytes], passes: set[float]) -> bool:
        """Whether a pass began and ended since it has everything; the first one seen may be of before."""
        found = await self._level(run)
        if found is not None and found.closed_at and not found.not_closed:
            passes.add(found.closed_at)
        return len(passes) > 2

    async def finish(self) -> None:
        """Runs without disturbance until it has all that the streams hold, and nothing more comes."""
        for _ in range(5):
            run = self.spawn()
            try:
                await until(partial(self._level, run), seconds=PATIENCE_SECONDS)
            finally:
                self._end(run)
            if await self._stream_ends() == self.positions():
                return
        raise AssertionError(f"it never came to the end: {self.log()}")

    def _end(self, run: subprocess.Popen[bytes]) -> None:
        run.terminate()
        try:
            self.ends.append(run.wait(20))
        finally:
            run.kill()
            run.wait()

    async def _level(self, run: subprocess.Popen[bytes]) -> Condition | None:
        """How it is, once it has everything."""
        assert run.poll() is None, f"it ended with {run.returncode}: {self.log()}"
        found = self.condition()
        if found is None or found.pid != run.pid:
            return None
        here = {name: one.position for name, one in found.streams.items() if one.position}
        return found if here == await self._stream_ends() else None

    async def _stream_ends(self) -> dict[str, int]:
        ends = {}
        for name, streams in LOGIN_STREAMS:
            bus = await connect(self.site, name, NKey.load(self.site.folder.identity(name).login))
            try:
                for reads in streams:
                    ends[reads.stream] = (await bus.state(reads.stream)).last
            finally:
                await bus.close()
        return {name: last for name, last in ends.items() if last}

    def positions(self) -> dict[str, int]:
        with self.opened() as connection:
            return dict(connection.execute("SELECT stream, sequence FROM position").fetchall())

    def opened(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self.folder / LIVE_FILE), read_only=True)


def _has_ended(run: subprocess.Popen[bytes]) -> bool:
    return run.poll() is not None


@asynccontextmanager
async def killed_site(root: Path, seed: int) -> AsyncIterator[Killed]:
    """A site with broker and notary; its other processes are played by a feed."""
    site = make_site(root)
    with site.folder.settings.open("a") as settings:
        settings.write(HURRIED)
    async with running_broker(site):
        yield Killed(site, seed)


async def fed_and_killed(killed: Killed, times: int) -> Feed:
    """Kill it so often while everything arrives, then let it come to the end."""
    words = plant_process(killed.site, "notary")
    async with child(words, killed.site.folder.logs / "notary.log"):
        async with feed(killed.site, killed.seed) as feeding:
            work = asyncio.create_task(feeding.run())
            try:
                await killed.kill(times)
            finally:
                feeding.stopping.set()
                await work
        await killed.close_all()
    await killed.finish()
    return feeding


async def check_all(killed: Killed, feeding: Feed, target: Path) -> None:
    """Everything that is promised of what is archived."""
    await replay_streams(killed.site, target, Wanted(), quiet=True)
    assert digests_of(killed.folder / LIVE_FILE, quiet=True) == digests_of(target, quiet=True)
    with killed.opened() as connection:
        for table in ("sample", "event", "audit", "unread", "rollup_1h", "policy", "layout"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0], table
        assert connection.execute("SELECT count(*) FROM hole").fetchall() == [(0,)]
        doubles = "SELECT count(*) - count(DISTINCT (sequence, place)) FROM sample"
        assert connection.execute(doubles).fetchall() == [(0,)]
        for source in SOURCES:
            check_counters(connection, source, feeding.frames[source])
        check_parquet(connection, killed.folder / PARQUET)


def check_counters(connection: duckdb.DuckDBPyConnection, source: str, frames: int) -> None:
    """Every number of every counter is there, in every tag."""
    found = connection.execute(
        "SELECT tag, count(DISTINCT value), min(value), max(value) FROM sample JOIN series USING (series) "
        "WHERE source = ? AND contains(tag, 'counter') GROUP BY tag",
        [source],
    ).fetchall()
    assert len(found) == COUNTERS
    assert {tuple(facts) for _tag, *facts in found} == {(frames, 1, frames)}


def check_parquet(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """The files that are named are there and whole, there are no others, and no sample stands in two."""
    named = connection.execute("SELECT path, sha256, rows, table_name FROM parquet_file").fetchall()
    assert named
    on_disk = {str(path.relative_to(folder)) for path in folder.rglob("*.parquet*")}
    assert {path for path, *_rest in named} == on_disk
    for path, sha256, rows, _table in named:
        assert sha256_of(folder / path)[1] == sha256
        assert _rows(connection, [folder / path]) == rows
    samples = [folder / path for path, _sha256, _rows, table in named if table == "sample"]
    doubles = connection.execute(
        "SELECT count(*) - count(DISTINCT (sequence, place)) FROM read_parquet(?)", [[*map(str, samples)]]
    ).fetchall()
    assert doubles == [(0,)]


def _rows(connection: duckdb.DuckDBPyConnection, files: Iterable[Path]) -> int:
    found = connection.execute("SELECT count(*) FROM read_parquet(?)", [[*map(str, files)]]).fetchall()
    return int(found[0][0])
