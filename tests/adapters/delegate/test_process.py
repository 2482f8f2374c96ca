"""The simulated delegate as a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from support.delegates import FLUSH, KEY_ID, PATIENCE_SECONDS, SECRET, delegate


async def test_it_tells_where_it_listens_serves_and_ends_on_sigterm(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "plantops.simulation.delegate"),
        *("--key-id", KEY_ID, "--secret-file", str(secret), "--style", "aas"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            url = json.loads(await process.stdout.readline())["delegate"]
            connection = delegate(url, protocol="async")
            await connection.connect()
            assert (await connection.invoke(FLUSH, "c1", simulate=False)).state == "completed"
            await connection.close()
            process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
