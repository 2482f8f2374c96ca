"""What an executor asked the broker for earlier, and has given up, keeps no stop from it."""

from __future__ import annotations

import asyncio

import msgspec

from plantops.adapters.host.executor import FETCH_LIMIT
from plantops.adapters.host.process import spec
from plantops.events.envelope import Message
from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.jetstream_reader import JetStreamReader
from support.host_ground import ME, SITE, SOURCE
from support.nats import StartBroker

GATE = ProcessSpec("gate", writes=(Writes("COMMANDS", (f"cmd.{SITE}.*.gate.*",)),))
ASKED = (
    ProcessSpec("twin", serves=(f"twin.{SITE}.sightings",)),
    ProcessSpec("notary", account="AUDIT", serves=(f"head.{SITE}.*",)),
)
NEXT = f"$JS.API.CONSUMER.MSG.NEXT.COMMANDS.{ME}-safe"
LONG_NS = 60_000_000_000


async def test_a_stop_is_handed_on_when_it_comes_and_not_when_it_comes_again(
    nats_server: StartBroker,
) -> None:
    broker = await nats_server([spec(SITE, SOURCE), GATE, *ASKED])
    host, gate = [
        await JetStreamBus.connect(broker.url, name, seed=broker.keys[name].seed) for name in (ME, "gate")
    ]
    try:
        reader = await host.reader("COMMANDS", f"{ME}-safe")
        assert isinstance(reader, JetStreamReader)
        # As a fetch leaves it on the server whose end the client heard too late.
        given_up = msgspec.json.encode({"batch": FETCH_LIMIT, "expires": LONG_NS})
        await host._connection.client.publish(NEXT, given_up, f"{reader._inbox}.0")
        fetching = asyncio.create_task(reader.fetch(FETCH_LIMIT, 30.0))
        await asyncio.sleep(0)
        await gate.publish(Message(f"cmd.{SITE}.safe_permitted.gate.c1", b"{}"), stream="COMMANDS")
        delivered = await fetching
        # Held back, it would come a second time when the broker has waited for the word in vain.
        assert len(delivered) == 1
    finally:
        await host.close()
        await gate.close()
