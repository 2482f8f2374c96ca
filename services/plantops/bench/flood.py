"""Clients that knock as fast as they can: `python -m plantops.bench.flood <folder> <name> [<name> ...]`.

Each login sends signed intents to set the valve, all different ones first, and does not wait for answers.
Prints a line when it begins; ends when it is told to.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from plantops.deployment.broker import connect
from plantops.deployment.site import Site, load_site
from plantops.events import subjects
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.words import new_intent, sealed
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerError
from plantops.runtime.nkey import NKey

INTENTS = 2000
AT_ONCE = 256
INTENT_LIFE = timedelta(minutes=5)


def intents(site: Site, name: str, count: int = INTENTS) -> list[tuple[str, bytes]]:
    """(subject, signed words) of different commands."""
    key = SigningKey.load(site.folder.identity(name, person=True).signing)
    made = []
    for number in range(count):
        arguments = {"PERCENT": 1.0 + number % 99}
        intent = new_intent(
            site.name, name, "valve-001", "SetPosition", arguments, model=site.plant.digest, life=INTENT_LIFE
        )
        subject = subjects.intent(intent.site, intent.actor, intent.asset, intent.operation)
        made.append((subject, sealed(intent, key)))
    return made


async def flood(bus: JetStreamBus, words: list[tuple[str, bytes]], waiting: int) -> None:
    """Until cancelled: `waiting` requests at a time, each answer followed by the next request at once."""
    turn = iter(range(sys.maxsize))

    async def knock() -> None:
        while True:
            subject, data = words[next(turn) % len(words)]
            try:
                await bus.request(subject, data, timeout=5.0)
            except BrokerError:
                await asyncio.sleep(0)

    await asyncio.gather(*(knock() for _ in range(waiting)))


async def main(folder: Path, names: list[str]) -> None:
    """Until cancelled."""
    site = load_site(folder)
    made = {name: intents(site, name) for name in names}
    buses = {
        name: await connect(site, name, NKey.load(site.folder.identity(name, person=True).login))
        for name in names
    }
    sys.stdout.write("flooding\n")
    sys.stdout.flush()
    await asyncio.gather(*(flood(bus, made[name], AT_ONCE) for name, bus in buses.items()))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
