"""An archive whose disk is full for a while: `full_disk_child.py <file> <checkpoint threshold> [<bytes>]`.

With `bytes` the file lies on a small file system, and a ballast leaves so much of it; else no file may grow
further. It ends when all is stored that came meanwhile, and prints what happened as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import secrets
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from plantops.archive import store, writer
from support.archive_rig import Archive, Rig, rig
from support.nats import until

ROOM = 400_000


async def main(path: Path, threshold: str, left: int) -> dict[str, object]:
    store.CHECKPOINT_THRESHOLD = threshold  # type: ignore[misc]
    writer._RETRY_SECONDS = 0.05  # type: ignore[misc]
    plant = await rig()
    with structlog.testing.capture_logs() as logs:
        async with plant.running(path) as archive:
            await plant.feed(50)
            await until(lambda: archive.intakes["TAGS"].position == plant.frames, seconds=30)
            async with archive.writer.lock:
                archive.store.connection.execute("CHECKPOINT")
            make_room = _on_small_disk(path, left) if left else _limited(path)
            ups = await _until_full(plant, archive)
            await plant.feed(50)
            await plant.up(3)
            make_room()
            await until(lambda: not archive.writer.problem, seconds=30)
            await plant.feed(10)
            await until(lambda: archive.intakes["TAGS"].position == plant.frames, seconds=30)
        async with plant.running(path) as archive:
            numbers = [
                value for (value,) in archive.rows("SELECT value FROM sample ORDER BY sequence, place")
            ]
            return {
                "samples": numbers == [float(number) for number in range(1, plant.frames + 1)],
                "rolled_up": archive.one("SELECT sum(samples)::BIGINT FROM rollup_1s") == plant.frames,
                "events": archive.rows("SELECT sequence FROM source_state ORDER BY 1")
                == [(sequence,) for sequence in range(1, ups + 4)],
                "told": [entry["event"] for entry in logs],
            }


def _limited(path: Path) -> Callable[[], None]:
    sizes = [file.stat().st_size for file in path.parent.iterdir() if file.is_file()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes) + ROOM, resource.RLIM_INFINITY))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _on_small_disk(path: Path, left: int) -> Callable[[], None]:
    ballast = path.with_name("ballast")
    disk = os.statvfs(path.parent)
    ballast.write_bytes(bytes(disk.f_bavail * disk.f_frsize - left))
    return ballast.unlink


async def _until_full(plant: Rig, archive: Archive) -> int:
    """Events until nothing more can be stored; how many they were."""
    ups = 0
    while not archive.writer.problem:
        await plant.up(2, detail=secrets.token_hex(10_000))
        ups += 2
        await until(partial(_is_taken, archive, ups), seconds=30)
    return ups


def _is_taken(archive: Archive, ups: int) -> bool:
    return bool(archive.writer.problem) or archive.intakes["SOURCES"].position == ups


if __name__ == "__main__":
    done = asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0))
    sys.stdout.write(json.dumps(done))
