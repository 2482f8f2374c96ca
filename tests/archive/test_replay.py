"""A replay gives the archive again, from streams or from files alone, and names what is not the log's."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from plantops.archive.place import LIVE_FILE
from plantops.bench.ground import child, plant_process
from support.archive_feed import feed
from support.archive_kills import Killed, killed_site
from support.command_line import plantops
from support.nats import until

FRAMES = 150  # of each source
PATIENCE_SECONDS = 200.0


@dataclass
class Fed:
    """A site that is quiet again, with an archive that has everything and does not run."""

    killed: Killed
    root: Path

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return plantops(*words, "--folder", self.killed.site.folder.root)

    def made(self, *words: str | Path) -> str:
        """What a command that must go well says."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def replay(self, *words: str | Path) -> Any:
        return msgspec.json.decode(self.made("replay", "--json", *words))

    def live(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self.killed.folder / LIVE_FILE))


async def _is_signed(killed: Killed) -> bool:
    return "CHECKPOINTS" in await killed._stream_ends()


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fed]:
    """Its broker lives in a thread of its own, so that commands can be run to their end here."""
    root = tmp_path_factory.mktemp("replay")
    made: list[Fed] = []
    ready, done = threading.Event(), threading.Event()

    async def live() -> None:
        async with killed_site(root / "site", seed=3) as killed:
            words = plant_process(killed.site, "notary")
            async with child(words, killed.site.folder.logs / "notary.log"):
                async with feed(killed.site, 3) as feeding:
                    work = asyncio.create_task(feeding.run())
                    await until(lambda: min(feeding.frames.values()) >= FRAMES, seconds=PATIENCE_SECONDS)
                    feeding.stopping.set()
                    await work
                await killed.close_all()
                await until(partial(_is_signed, killed), seconds=PATIENCE_SECONDS)
            await killed.finish()
            made.append(Fed(killed, root))
            ready.set()
            await asyncio.to_thread(done.wait)

    def run() -> None:
        try:
            asyncio.run(live())
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(PATIENCE_SECONDS)
        yield made[0]
    finally:
        done.set()
        thread.join()


def test_streams_and_files_alone_give_the_same_tables(fed: Fed) -> None:
    streamed = fed.replay("--verify")
    fed.made("export", fed.root / "backup", "--live")
    fed.made("audit", "export", fed.root / "tiles")
    alone = fed.replay("--parquet", fed.root / "backup", "--tiles", fed.root / "tiles", "--verify")
    assert alone["missing"] == []
    assert alone["tables"] == streamed["tables"]
    assert streamed["tables"]["audit"]["rows"] > 0
    for told in (streamed, alone):
        assert told["proof"]["findings"] == []
        assert told["proof"]["good"] == told["proof"]["covered"] > 0
        assert told["differences"] == []


def test_only_what_was_asked_for_is_replayed(fed: Fed) -> None:
    with fed.live() as live:
        first, middle, last = live.execute(
            "SELECT min(sequence), median(sequence)::BIGINT, max(sequence) FROM event "
            "WHERE stream = 'COMMANDS'"
        ).fetchall()[0]
        moment = live.execute(
            "SELECT stored_at FROM event WHERE stream = 'COMMANDS' AND sequence = ?", [middle]
        ).fetchall()[0][0]
    # The archive keeps microseconds: the message in the middle lies at this one or within it.
    told = fed.replay("--stream", "COMMANDS", "--from", moment.isoformat())
    assert told["streams"] == {"COMMANDS": {"first": middle, "last": last}}
    assert told["tables"]["event"]["rows"] == last - middle + 1
    told = fed.replay("--stream", "COMMANDS", "--to", moment.isoformat())
    assert told["streams"] == {"COMMANDS": {"first": first, "last": middle - 1}}
    assert told["tables"]["sample"]["rows"] == 0


def test_an_audit_row_that_somebody_edited_is_named(fed: Fed) -> None:
    with fed.live() as live:
        before = live.execute("SELECT body FROM audit WHERE position = 5").fetchall()[0][0]
        live.execute("""UPDATE audit SET body = '{"nothing":"happened"}' WHERE position = 5""")
    try:
        result = fed.run("replay", "--verify")
    finally:
        with fed.live() as live:
            live.execute("UPDATE audit SET body = ? WHERE position = 5", [before])
    assert result.returncode == 1
    assert "audit row 5" in result.stdout
    assert "column body" in result.stdout
    assert "row 5" in result.stderr


def test_a_changed_record_in_an_export_does_not_stand_in_the_tree(fed: Fed) -> None:
    backup, tiles = fed.root / "backup2", fed.root / "tiles2"
    fed.made("export", backup, "--live")
    fed.made("audit", "export", tiles)
    bundle = next(path for path in sorted((tiles / "tile" / "entries").rglob("*")) if path.is_file())
    data = bytearray(bundle.read_bytes())
    place = data.index(b'"sig":"') + 20
    data[place] = ord("A") if data[place] != ord("A") else ord("B")
    bundle.write_bytes(data)
    result = fed.run("replay", "--parquet", backup, "--tiles", tiles, "--verify")
    assert result.returncode == 1
    assert "root_mismatch" in result.stdout
    named = fed.run("audit", "verify", "--export", tiles)
    assert "record 0" in named.stdout


def test_a_replayed_archive_takes_the_place_of_a_damaged_one(fed: Fed) -> None:
    live = fed.killed.folder / LIVE_FILE
    damaged = b"no archive any more" * 1000
    live.write_bytes(damaged)
    told = fed.replay("--replace")
    kept = Path(told["kept"])
    assert kept.read_bytes() == damaged
    asyncio.run(fed.killed.finish())
    again = fed.replay()
    assert again["tables"] == told["tables"]


def test_the_live_file_of_a_running_archive_is_not_replaced(fed: Fed) -> None:
    with fed.live():
        result = fed.run("replay", "--replace")
    assert result.returncode != 0
    assert "open in another process" in result.stderr


def test_a_stream_that_is_none_is_told_with_the_nearest(fed: Fed) -> None:
    result = fed.run("replay", "--stream", "COMANDS")
    assert result.returncode != 0
    assert "did you mean 'COMMANDS'" in result.stderr
