"""The log as static files (C2SP tlog-tiles), for whoever wants to verify without us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from plantops.flow.bus import Bus, Stored
from plantops.flow.cosigned import claimed_size, newest_note
from plantops.ledger import tiles
from plantops.ledger.tiles import Written

_PAGE: Final = 1024
_README: Final = """\
An audit log as static files
============================

Format: C2SP tlog-tiles (https://c2sp.org/tlog-tiles). `checkpoint` is a signed note
(https://c2sp.org/tlog-checkpoint), `tile/` holds the Merkle tree, `tile/entries/` the records. Each record is
a DSSE envelope (https://github.com/secure-systems-lab/dsse) signed by the process that wrote it.

These files bring no keys. Verify them with keys that you have from elsewhere:

  plantops audit verify --export <this folder> --trust <trust file>

Any tool for tlog-tiles can check tree and checkpoint, with the notary's verifier key and the origin in the
first line of `checkpoint`. What files alone cannot show is that the log was once longer: compare with a
checkpoint that you saw before.
"""


async def export(
    bus: Bus, folder: Path, *, site: str, progress: Callable[[int, int], None] | None = None
) -> Written:
    """Write all that the last checkpoint covers into a new folder, with its cosignatures; a few pages of
    records in memory.

    Nothing is judged: a damaged log is exported as it is, a missing record as an empty entry. Raises:
    IntegrityError when nothing was ever signed; SettingsError when the folder is not empty; BrokerError.
    """
    signed = await newest_note(bus, site)
    size = claimed_size(signed)
    loop = asyncio.get_running_loop()
    stopped = False

    def page(start: int) -> list[Stored]:
        return asyncio.run_coroutine_threadsafe(bus.history("AUDIT", ">", start, _PAGE), loop).result()

    def entries() -> Iterator[bytes]:
        done = 0
        while done < size and not stopped:
            found = [stored for stored in page(done + 1) if stored.sequence <= size]
            for stored in found:
                while done < stored.sequence - 1:
                    yield b""
                    done += 1
                yield stored.data
                done += 1
            if progress is not None:
                progress(done, size)
            if not found:
                return

    try:
        written = await asyncio.to_thread(tiles.write_tiles, folder, entries(), signed)
    finally:
        stopped = True
    await asyncio.to_thread((folder / "README.txt").write_text, _README)
    return written
