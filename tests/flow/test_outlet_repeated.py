"""An answer whose acknowledgement never came is said again under the same identity, and stored once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plantops.events.envelope import Message
from plantops.flow.bus import Stored
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.outlet import Outlet, Produced
from plantops.flow.processor import Recorded
from plantops.flow.signing import Signer
from plantops.flow.wire import MESSAGE_ID
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerUnavailable
from support.counter import Counter, came_up


class Late(MemoryBus):
    """The first time nothing of it is seen when one looks, and it is stored all the same afterwards."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker, "counter")
        self.on_its_way: list[tuple[Sequence[Message], dict[str, Any]]] = []
        self.said: list[list[str]] = []

    async def publish_batch(self, messages: Sequence[Message], **condition: Any) -> int:
        self.said.append([message.header(MESSAGE_ID) for message in messages])
        if len(self.said) == 1:
            self.on_its_way.append((messages, condition))
            raise BrokerUnavailable("no answer")
        for late, upon in self.on_its_way:
            await super().publish_batch(late, **upon)
        self.on_its_way.clear()
        return await super().publish_batch(messages, **condition)


async def stored_by(count: int) -> tuple[Late, list[Stored]]:
    """What stands in the log after `count` answers to one input, the first telling of which came late."""
    broker = MemoryBroker()
    stream = broker.add_stream("FINDINGS", ["finding.>"])
    bus = Late(broker)
    signer = Signer("counter", SigningKey.from_seed(bytes(32)))
    outlet = Outlet(bus, signer, "FINDINGS", "finding.demo.*", token="run", began=Counter().began("run"))
    await outlet.look()
    await outlet.begin()
    events = [
        Recorded("FINDINGS", 0, "finding.demo.counter", 1, came_up("a", n), "counter", f"counter.1.{n}")
        for n in range(count)
    ]
    cause = Stored("SOURCES", 1, "source.demo.a.up", b"", 1)
    await outlet.store([Produced(cause, events, {"SOURCES": 1})])
    return bus, [each for each in stream.messages.values() if each.subject == "finding.demo.counter"]


async def test_one_answer() -> None:
    bus, stored = await stored_by(1)
    assert len(stored) == 1
    assert len(bus.said) == 2
    assert bus.said[0] == bus.said[1]


async def test_several_answers() -> None:
    """The repetition is refused, and then found to be there."""
    bus, stored = await stored_by(3)
    assert len(stored) == 3
    assert bus.said[0] == bus.said[1]
    assert len(set(bus.said[0])) == 3, "each has its own, which nobody can guess"
    assert all(len(each) >= 24 for each in bus.said[0])
