"""Events of a stream: each once, in order, resumed where the reader was, believed or told why not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from plantops.events import Event
from plantops.events.base import CommandId, SiteName, SourceName
from plantops.events.commands import CommandCancelled, CommandDenied
from plantops.events.envelope import Message
from plantops.events.sources import SourceUp
from plantops.flow.memory import MemoryBroker
from plantops.flow.signing import Signer
from plantops.tools.contract import Call, ToolError
from plantops.tools.reading.event_log import ALARM_LIST, EVENTS_READ, FINDING_LIST
from support.plant_samples import key
from support.tool_calls import all_pages, memory_call, places, told, with_cursor, with_rows

SITE = SiteName("demo")
AT = datetime(2026, 3, 1, tzinfo=UTC)


class Log:
    """COMMANDS and SOURCES with signed events, ALARMS and FINDINGS with whatever is said there."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        for name, subject in (
            ("COMMANDS", "cmd.>"),
            ("SOURCES", "source.>"),
            ("ALARMS", "alarm.>"),
            ("FINDINGS", "finding.>"),
        ):
            self.broker.add_stream(name, [subject])
        self.count = 0

    def say(self, subject: str, event: Event, name: str, signer: str) -> None:
        self.count += 1
        message = Signer(name, key(signer)).message(subject, event, id=str(self.count), time=AT)
        stream = "COMMANDS" if subject.startswith("cmd") else "SOURCES"
        self.broker.store([message], stream, None, "")

    def deny(self, command: str, *, signer: str = "gate") -> None:
        event = CommandDenied(site=SITE, command=CommandId(command), reason="no")
        self.say(f"cmd.demo.denied.gate.{command}", event, "gate", signer)

    def cancel(self, command: str) -> None:
        event = CommandCancelled(site=SITE, command=CommandId(command), reason="late")
        self.say(f"cmd.demo.cancelled.gate.{command}", event, "gate", "gate")

    def fill(self, count: int) -> None:
        for number in range(count):
            (self.cancel if number % 3 == 2 else self.deny)(f"k{number % 7}")

    def call(self, rows: int = 500) -> Call:
        return with_rows(memory_call(self.broker), rows)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.mark.parametrize("count", [0, 1, 500, 1203])
async def test_from_a_sequence_on_each_event_comes_once_and_in_order(log: Log, count: int) -> None:
    log.fill(count)
    pages = await all_pages(EVENTS_READ, log.call(200), after=0)
    assert [one.sequence for page in pages for one in page.result.events] == list(range(1, count + 1))
    assert [page.result.looked_to for page in pages[:-1]] == [places(page)[-1][3] for page in pages[:-1]]
    assert pages[-1].result.looked_to == count
    assert [place[3] for page in pages for place in places(page)] == list(range(1, count + 1))


async def test_who_goes_on_behind_what_was_looked_at_misses_nothing(log: Log) -> None:
    log.fill(40)
    first = await told(EVENTS_READ, log.call(), after=0, types=["command.cancelled"])
    assert first.result.looked_to == 40
    log.fill(3)
    second = await told(EVENTS_READ, log.call(), after=first.result.looked_to, types=["command.cancelled"])
    assert [one.sequence for one in second.result.events] == [43]
    third = await told(EVENTS_READ, log.call(), after=second.result.looked_to)
    assert (third.result.events, third.next, third.result.looked_to) == ((), "", 43)


@pytest.mark.parametrize("after", [None, 0])
async def test_only_the_wanted_types_of_the_wanted_command_come(log: Log, after: int | None) -> None:
    log.fill(70)
    for types, kinds in (
        (["command.cancelled"], {"command.cancelled"}),
        (["command.cancelled", "command.denied"], {"command.cancelled", "command.denied"}),
    ):
        pages = await all_pages(EVENTS_READ, log.call(3), after=after, types=types, command="k3")
        events = [one for page in pages for one in page.result.events]
        assert {one.type for one in events} == kinds
        assert {one.body["command"] for one in events} == {"k3"}
        wanted = [n + 1 for n in range(70) if n % 7 == 3 and (n % 3 == 2 or len(types) == 2)]
        assert sorted(one.sequence for one in events) == wanted


async def test_without_a_sequence_the_newest_come_first(log: Log) -> None:
    log.fill(600)
    pages = await all_pages(EVENTS_READ, log.call(250))
    assert [one.sequence for page in pages for one in page.result.events] == list(range(600, 0, -1))


async def test_who_was_away_too_long_is_told_how_much_is_gone(log: Log) -> None:
    log.fill(30)
    log.broker.stream("COMMANDS").drop(list(range(1, 11)))
    page = await told(EVENTS_READ, log.call(), after=4)
    assert (page.result.missed, page.result.first, page.result.events[0].sequence) == (6, 11, 11)
    assert (await told(EVENTS_READ, log.call(), after=10)).result.missed == 0


async def test_an_event_that_nobody_with_that_right_signed_is_told_without_its_words(log: Log) -> None:
    log.deny("k1", signer="stranger")
    log.broker.store([Message("cmd.demo.denied.gate.k1", b"{}", {})], "COMMANDS", None, "")
    events = (await told(EVENTS_READ, log.call(), after=0)).result.events
    assert [one.body for one in events] == [None, None]
    assert all(one.problem for one in events)


async def test_what_happens_to_sources_is_read_by_source(log: Log) -> None:
    up = SourceUp(source=SourceName("plc"), epoch=1)
    log.say("source.demo.plc.up", up, "adapter-plc", "plc")
    page = await told(EVENTS_READ, log.call(), stream="SOURCES", after=0, types=["source.up"])
    (event,) = page.result.events
    assert (event.signer, event.body["source"]) == ("adapter-plc", "plc")
    assert places(page) == [("source", "plc", "SOURCES", 1)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"types": ["source.up"]},
        {"types": ["command.*"]},
        {"types": ["command.a.b"]},
        {"command": "k.1"},
        {"command": "*"},
        {"stream": "SOURCES", "command": "k1"},
        {"after": -1},
        {"after": 2**60},
    ],
)
async def test_no_filter_reaches_beyond_its_place(log: Log, arguments: dict[str, object]) -> None:
    with pytest.raises(ToolError) as refused:
        await told(EVENTS_READ, log.call(), **arguments)
    assert refused.value.code == "bad_arguments"


async def test_a_cursor_of_somebody_else_is_refused(log: Log) -> None:
    for after in (None, 0):
        with pytest.raises(ToolError) as refused:
            await told(EVENTS_READ, with_cursor(log.call(), "1 OR 1"), after=after)
        assert refused.value.code == "bad_cursor"


async def test_alarms_and_findings_are_read_once_somebody_writes_them(log: Log) -> None:
    for tool in (ALARM_LIST, FINDING_LIST):
        assert (await told(tool, log.call())).result.events == ()
    log.broker.store([Message("alarm.demo.plc.raised", b'{"type":"alarm.raised"}', {})], "ALARMS", None, "")
    log.broker.store([Message("alarm.demo.other.raised", b'{"type":"alarm.raised"}', {})], "ALARMS", None, "")
    page = await told(ALARM_LIST, log.call(), source="plc")
    assert [one.subject for one in page.result.events] == ["alarm.demo.plc.raised"]
    assert places(page) == [("alarm", "plc", "ALARMS", 1)]
    # No program writes them yet, so nobody may: such an event is shown and not believed.
    assert page.result.events[0].problem
    with pytest.raises(ToolError):
        await told(ALARM_LIST, log.call(), source="*")
