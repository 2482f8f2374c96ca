"""`python -m plantops.bench.reading`: the second reader as a process; tells its totals ten times a second."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from plantops.bench.counting import Counting
from plantops.bench.ground import READER, SOURCE
from plantops.deployment.broker import connect
from plantops.deployment.policies import read_envelope
from plantops.deployment.site import load_site
from plantops.events.base import SourceName
from plantops.flow.shell import Shell
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.policy.in_force import InForce
from plantops.policy.verify import load_root
from plantops.runtime.log import configure_logging
from plantops.runtime.nkey import NKey
from plantops.twin.process import LINGER_SECONDS

TELL_SECONDS = 0.1


async def read(folder: Path, counting: Counting, stopping: asyncio.Event) -> None:
    """Fold and tell until `stopping`; the last line is the whole truth."""
    site = load_site(folder)
    identity = site.folder.identity(READER)
    in_force = InForce(load_root(site.folder.trust_root), site.name)
    in_force.offer(read_envelope(site.folder), datetime.now(UTC))
    bus = await connect(site, READER, NKey.load(identity.login))
    signer = Signer(READER, SigningKey.load(identity.signing))
    shell = Shell(counting, bus, signer, in_force, site=site.name, linger_seconds=LINGER_SECONDS)
    try:
        await shell.restore()
        work = asyncio.create_task(shell.run())
        stop = asyncio.create_task(stopping.wait())
        while not (work.done() or stop.done()):
            _tell(shell.state.totals)
            await asyncio.wait((work, stop), timeout=TELL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        stop.cancel()
        results = await asyncio.gather(work, stop, return_exceptions=True)
        _tell(shell.state.totals)
        for result in results:
            if isinstance(result, Exception):
                raise result
    finally:
        await bus.close()


def _tell(totals: msgspec.Struct) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(totals) + b"\n")
    sys.stdout.buffer.flush()


async def _main(given: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    counting = Counting(
        site=given.site,
        source=SourceName(SOURCE),
        name=READER,
        prefix=given.prefix,
        step=given.step,
        modulus=given.modulus,
    )
    await read(given.folder, counting, stopping)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="plantops.bench.reading", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--site", default="demo")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--modulus", type=int, default=1 << 62)
    configure_logging(READER, "warning")
    asyncio.run(_main(parser.parse_args(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
