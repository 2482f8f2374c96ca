"""`python -m plantops.bench.modbus_device`: a Modbus device whose every answer carries its own number.

Register a of answer n reads (n + a) modulo 65536: so an answer that is lost, repeated or late shows in the
values themselves. The port is told on standard output; SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import sys
from collections.abc import Sequence

from plantops.simulation.modbus_server import counter_server


async def serve(registers: int) -> None:
    """Until SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    answers = itertools.count()
    async with counter_server(registers, rate=1.0, clock=lambda: float(next(answers))) as port:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await stopped.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="plantops.bench.modbus_device", description=__doc__)
    parser.add_argument("--registers", type=int, required=True)
    asyncio.run(serve(parser.parse_args(arguments).registers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
