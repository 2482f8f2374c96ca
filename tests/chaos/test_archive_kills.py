"""A hundred `kill -9` of the archive's process while a whole site arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.archive_kills import check_all, fed_and_killed, killed_site

KILLS = 100


@pytest.mark.chaos
@pytest.mark.timeout(3600)
async def test_a_hundred_kills_change_nothing_that_is_archived(tmp_path: Path) -> None:
    async with killed_site(tmp_path / "site", seed=11) as killed:
        feeding = await fed_and_killed(killed, times=KILLS)
        assert killed.kills >= KILLS * 0.9, killed.log()
        assert set(killed.ends) == {0}, killed.log()
        await check_all(killed, feeding, tmp_path / "replayed.duckdb")
