"""`python -m plantops.simulation.delegate`: the delegate on loopback until SIGTERM or SIGINT.

When it listens, one line of JSON goes to standard output: {"delegate": url}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from plantops.simulation.delegate.server import DelegateServer


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="plantops.simulation.delegate", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--style", choices=("basyx", "job", "aas"), default="basyx")
    parser.add_argument("--key-id", default="demo", help="the name of the shared secret")
    parser.add_argument("--secret-file", type=Path, help="holds the secret; without it nothing is signed")
    return parser.parse_args(arguments)


async def run(server: DelegateServer) -> None:
    """Serve until SIGTERM or SIGINT. Raises: OSError when the port is taken."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with server:
        sys.stdout.write(json.dumps({"delegate": server.url}) + "\n")
        sys.stdout.flush()
        await stopped.wait()


async def _main(given: argparse.Namespace) -> None:
    keys = {given.key_id: given.secret_file.read_text().strip()} if given.secret_file else {}
    await run(DelegateServer(keys, style=given.style, port=given.port))


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 after a signal, 2 when the delegate could not start."""
    try:
        asyncio.run(_main(_arguments(arguments)))
    except OSError as error:
        sys.stderr.write(f"the delegate cannot run: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
