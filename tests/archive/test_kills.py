"""`kill -9` of the archive's process at any instant: it holds what the streams hold, and each thing once."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.archive_kills import check_all, fed_and_killed, killed_site


@pytest.mark.timeout(900)
async def test_a_killed_archive_holds_what_a_clean_replay_holds(tmp_path: Path) -> None:
    async with killed_site(tmp_path / "site", seed=1) as killed:
        feeding = await fed_and_killed(killed, times=8)
        assert killed.kills >= 6, killed.log()
        assert set(killed.ends) == {0}, killed.log()
        await check_all(killed, feeding, tmp_path / "replayed.duckdb")
