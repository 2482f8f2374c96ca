"""A heartbeat is young while all is well, and only then."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from plantops.runtime import heartbeat
from plantops.runtime.errors import SettingsError
from support.nats import until


async def test_a_file_of_a_former_run_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    path, well = tmp_path / "heartbeat", [False]
    path.touch()
    beating = asyncio.create_task(heartbeat.beat(path, lambda: well[0]))
    await until(lambda: not path.exists())
    well[0] = True
    await until(path.exists)
    os.utime(path, (1, 1))
    await until(lambda: path.stat().st_mtime > 1)
    well[0] = False
    await asyncio.sleep(0.05)
    os.utime(path, (1, 1))
    await asyncio.sleep(0.05)
    assert path.stat().st_mtime == 1
    beating.cancel()


async def test_a_heartbeat_that_cannot_be_written_ends_the_process(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="heartbeat"):
        await heartbeat.beat(tmp_path / "missing" / "heartbeat", lambda: True)
