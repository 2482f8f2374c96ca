"""The agent hears of its commands what the log repeats, and nothing that a client steered there."""

from __future__ import annotations

import msgspec

from plantops.agent.following import Commands
from plantops.events import encode
from plantops.events.base import CommandId, SiteName
from plantops.events.commands import CommandExecuted
from plantops.events.envelope import Message
from plantops.flow.memory import MemoryBroker
from plantops.schemas.samples import samples
from support.nats import until

EXECUTED = next(said.event for said in samples() if isinstance(said.event, CommandExecuted))
COMMAND = EXECUTED.command
SUBJECT = f"cmd.demo.executed.executor.{COMMAND}"
MARK = {"Nats-Stream": "COMMANDS", "Nats-Sequence": "7"}


def executed(volume: float) -> bytes:
    return encode(msgspec.structs.replace(EXECUTED, outputs={"volume": volume}))


async def test_a_result_that_is_not_from_the_log_is_neither_news_nor_shown() -> None:
    broker = MemoryBroker()
    commands = Commands(SiteName("demo"), broker.bus("agent"))
    await commands.start()
    other = CommandId("000000000000000000000000")
    with commands.hearing(COMMAND) as heard, commands.hearing(other) as last:
        broker.deliver(Message(SUBJECT, executed(99.0)))
        broker.deliver(Message(SUBJECT.replace(COMMAND, other), executed(1.0), MARK))
        await until(last.news.is_set)
        assert (heard.news.is_set(), heard.executed) == (False, None)
        assert last.executed is not None
    await commands.stop()
