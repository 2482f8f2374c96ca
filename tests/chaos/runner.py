"""The process that is killed: the counter under its shell. `python runner.py <url> <probability> <seed>`.

With a probability above 0 it dies by itself, without a word, at the shell's marked points.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys

from plantops.flow.jetstream import JetStreamBus
from plantops.flow.shell import Shell
from plantops.flow.signing import Signer
from plantops.flow.trust import TrustAll
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerUnavailable, Fenced
from support.counter import Counter, Tally

FENCED = 3
"""Exit code of a run that another one replaced."""


class Mortal(Shell[Tally]):
    """Dies with a probability wherever it may."""

    probability = 0.0
    dice = random.Random()

    def reached(self, point: str) -> None:
        if self.probability and self.dice.random() < self.probability:
            os._exit(137)


async def main(url: str, probability: float, seed: int) -> None:
    Mortal.probability, Mortal.dice = probability, random.Random(seed)
    bus = await JetStreamBus.connect(url, "counter")
    signer = Signer("counter", SigningKey.from_seed(bytes(32)))
    shell = Mortal(
        Counter(),
        bus,
        signer,
        TrustAll(),
        site="demo",
        fetch_limit=64,
        snapshot_inputs=500,
        snapshot_seconds=1.0,
    )
    await shell.restore()
    await shell.run()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
    except Fenced as error:
        sys.stderr.write(f"{error.message}\n")
        sys.exit(FENCED)
    except BrokerUnavailable as error:
        sys.stderr.write(f"{error.message}\n")
        sys.exit(4)
