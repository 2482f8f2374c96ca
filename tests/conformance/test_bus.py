"""What every bus promises: the same cases in memory and on a real server."""

from __future__ import annotations

import asyncio

import pytest

from plantops.events.envelope import Message
from plantops.flow.bus import Bus, Reader, Stored
from plantops.runtime.errors import BrokerUnavailable, Conflict, Misrouted, NobodyAnswers, StreamMissing
from support.nats import until
from support.stages import Stage, stage, texts

__all__ = ["stage"]


def say(subject: str, text: str = "x", **headers: str) -> Message:
    return Message(subject, text.encode(), headers)


@pytest.fixture
async def bus(stage: Stage) -> Bus:
    await stage.add_stream("WORK", "work.>")
    await stage.add_stream("OTHER", "other.>")
    return await stage.bus("tester")


async def fetched(reader: Reader, count: int) -> list[Stored]:
    found: list[Stored] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await reader.fetch(count - len(found), 1.0)
    return found


async def test_gives_consecutive_sequences_and_keeps_bytes_headers_and_subject(bus: Bus) -> None:
    first = await bus.publish(say("work.a", "eins", **{"ce-id": "1"}), stream="WORK")
    second = await bus.publish(say("work.b", "zwei"), stream="WORK")
    stored = await bus.get("WORK", 1)
    assert (first, second) == (1, 2)
    assert stored is not None
    assert (stored.subject, stored.data, stored.headers["ce-id"]) == ("work.a", b"eins", "1")
    assert await bus.get("WORK", 3) is None


async def test_stores_only_upon_the_expected_last_sequence_of_the_subject(bus: Bus) -> None:
    await bus.publish(say("work.a"), stream="WORK", expected_last=0)
    await bus.publish(say("work.b"), stream="WORK", expected_last=0)
    with pytest.raises(Conflict) as caught:
        await bus.publish(say("work.a"), stream="WORK", expected_last=0)
    assert caught.value.last == 1
    assert await bus.publish(say("work.a"), stream="WORK", expected_last=1) == 3


async def test_expects_the_last_sequence_of_a_whole_filter(bus: Bus) -> None:
    await bus.publish(say("work.a.1"), stream="WORK")
    with pytest.raises(Conflict):
        await bus.publish(say("work.a.2"), stream="WORK", expected_last=0, expected_subject="work.a.*")
    assert (
        await bus.publish(say("work.a.2"), stream="WORK", expected_last=1, expected_subject="work.a.*") == 2
    )


async def test_repeating_a_message_id_stores_it_once(bus: Bus) -> None:
    assert await bus.publish(say("work.a"), stream="WORK", message_id="same") == 1
    assert await bus.publish(say("work.a"), stream="WORK", message_id="same") == 1
    assert (await bus.state("WORK")).last == 1


async def test_names_the_stream_that_took_a_message_meant_for_another(bus: Bus) -> None:
    with pytest.raises(Misrouted):
        await bus.publish(say("other.a"), stream="WORK")
    with pytest.raises(Misrouted):
        await bus.publish_batch([say("other.a"), say("other.b")], stream="WORK")


async def test_a_batch_is_stored_in_order_with_consecutive_sequences(bus: Bus) -> None:
    await bus.publish(say("work.before"), stream="WORK")
    last = await bus.publish_batch([say(f"work.{n}", str(n)) for n in range(500)], stream="WORK")
    assert last == 501
    assert texts(await bus.history("WORK", "work.>", 2, 1000)) == [str(n) for n in range(500)]


async def test_a_batch_of_one_is_a_batch(bus: Bus) -> None:
    assert await bus.publish_batch([say("work.a")], stream="WORK", expected_last=0) == 1
    with pytest.raises(Conflict):
        await bus.publish_batch([say("work.a")], stream="WORK", expected_last=0)


async def test_a_batch_upon_a_wrong_expectation_leaves_nothing(bus: Bus) -> None:
    await bus.publish(say("work.a.1"), stream="WORK")
    with pytest.raises(Conflict):
        await bus.publish_batch(
            [say("work.a.2"), say("work.a.3")], stream="WORK", expected_last=0, expected_subject="work.a.>"
        )
    assert (await bus.state("WORK")).last == 1
    last = await bus.publish_batch(
        [say("work.a.2"), say("work.a.3")], stream="WORK", expected_last=1, expected_subject="work.a.>"
    )
    assert last == 3


@pytest.mark.parametrize("count", [0, 1001])
async def test_refuses_a_batch_outside_its_limits(bus: Bus, count: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        await bus.publish_batch([say("work.a")] * count, stream="WORK")


async def test_finds_the_last_message_by_subject_and_by_wildcard(bus: Bus) -> None:
    for subject in ("work.a.x", "work.b.x", "work.a.y"):
        await bus.publish(say(subject, subject), stream="WORK")
    exact, wide, none = (
        await bus.last("WORK", "work.b.x"),
        await bus.last("WORK", "work.*.x"),
        await bus.last("WORK", "work.c.>"),
    )
    assert exact is not None
    assert wide is not None
    assert (exact.sequence, wide.sequence, none) == (2, 2, None)


async def test_reads_the_history_of_a_filter_in_order_from_any_place(bus: Bus) -> None:
    await bus.publish_batch(
        [say(f"work.{'a' if n % 7 == 0 else 'b'}", str(n)) for n in range(300)], stream="WORK"
    )
    wanted = [str(n) for n in range(300) if n % 7 == 0]
    assert texts(await bus.history("WORK", "work.a", 1, 1000)) == wanted
    assert texts(await bus.history("WORK", "work.a", 9, 5)) == wanted[2:7]
    assert await bus.history("WORK", "work.a", 300, 5) == []
    assert await bus.history("WORK", "work.c", 1, 5) == []


async def test_a_stream_made_again_has_another_identity(stage: Stage, bus: Bus) -> None:
    await bus.publish(say("work.a"), stream="WORK")
    before = await bus.state("WORK")
    await stage.add_stream("WORK", "work.>")
    after = await bus.state("WORK")
    assert (before.first, before.last) == (1, 1)
    assert after.last == 0
    assert after.created != before.created


async def test_names_a_missing_stream(bus: Bus) -> None:
    with pytest.raises(StreamMissing):
        await bus.state("NOWHERE")
    with pytest.raises(StreamMissing):
        await bus.reader("NOWHERE", "reader")
    with pytest.raises(StreamMissing):
        await bus.last("NOWHERE", "a")


EITHER = pytest.mark.parametrize("ahead", [False, True], ids=["as asked", "ahead"])


@EITHER
async def test_fetches_in_stream_order_and_counts_deliveries(stage: Stage, bus: Bus, ahead: bool) -> None:
    await stage.add_consumer("WORK", "reader")
    await bus.publish_batch([say("work.a", str(n)) for n in range(100)], stream="WORK")
    reader = await bus.reader("WORK", "reader", ahead=ahead)
    found = await fetched(reader, 60) + await fetched(reader, 40)
    assert texts(found) == [str(n) for n in range(100)]
    assert [m.delivery for m in found] == list(range(1, 101))
    assert found[-1].pending == 0
    assert [m.time_ns for m in found] == sorted(m.time_ns for m in found)


@EITHER
async def test_gives_a_reader_only_its_subjects(stage: Stage, bus: Bus, ahead: bool) -> None:
    await stage.add_consumer("WORK", "reader", "work.a.*", "work.c")
    await bus.publish_batch([say(s, s) for s in ("work.a.1", "work.b", "work.c", "work.a.2")], stream="WORK")
    assert texts(await fetched(await bus.reader("WORK", "reader", ahead=ahead), 3)) == [
        "work.a.1",
        "work.c",
        "work.a.2",
    ]


@EITHER
async def test_fetching_nothing_is_no_error(stage: Stage, bus: Bus, ahead: bool) -> None:
    await stage.add_consumer("WORK", "reader")
    assert await (await bus.reader("WORK", "reader", ahead=ahead)).fetch(10, 0.2) == []


@EITHER
async def test_a_waiting_reader_gets_what_comes_later(stage: Stage, bus: Bus, ahead: bool) -> None:
    await stage.add_consumer("WORK", "reader")
    reader = await bus.reader("WORK", "reader", ahead=ahead)
    waiting = asyncio.create_task(reader.fetch(10, 10.0))
    await asyncio.sleep(0)
    await bus.publish(say("work.a", "late"), stream="WORK")
    assert texts(await waiting) == ["late"]


@EITHER
async def test_reset_delivers_again_from_a_sequence_and_counts_from_one(
    stage: Stage, bus: Bus, ahead: bool
) -> None:
    await stage.add_consumer("WORK", "reader")
    await bus.publish_batch([say("work.a", str(n)) for n in range(1, 11)], stream="WORK")
    reader = await bus.reader("WORK", "reader", ahead=ahead)
    await reader.ack((await fetched(reader, 10))[-1])
    await reader.reset(4)
    again = await fetched(reader, 7)
    assert texts(again) == [str(n) for n in range(4, 11)]
    assert [m.delivery for m in again] == list(range(1, 8))


async def test_what_one_reader_lost_shows_as_a_jump_for_the_next(stage: Stage, bus: Bus) -> None:
    await stage.add_consumer("WORK", "reader")
    await bus.publish_batch([say("work.a")] * 4, stream="WORK")
    await fetched(await bus.reader("WORK", "reader"), 2)  # taken, and forgotten
    found = await fetched(await bus.reader("WORK", "reader"), 2)
    assert [m.delivery for m in found] == [3, 4]


@EITHER
async def test_a_reader_of_a_missing_consumer_says_so_when_reset(bus: Bus, ahead: bool) -> None:
    reader = await bus.reader("WORK", "nobody", ahead=ahead)
    with pytest.raises(StreamMissing):
        await reader.reset(1)


@pytest.mark.parametrize("kind", ["fold", "effect"])
async def test_a_word_on_a_message_whose_consumer_is_gone_is_lost_without_harm(
    stage: Stage, bus: Bus, kind: str
) -> None:
    await stage.add_consumer("WORK", "reader", kind=kind)
    await bus.publish(say("work.a"), stream="WORK")
    reader = await bus.reader("WORK", "reader")
    (message,) = await fetched(reader, 1)
    await stage.add_stream("WORK", "work.>")
    await reader.in_progress(message)
    await reader.ack(message)
    with pytest.raises(StreamMissing):
        await reader.reset(1)


async def test_an_effect_left_undone_is_delivered_again(stage: Stage, bus: Bus) -> None:
    await stage.add_consumer("WORK", "worker", kind="effect", ack_wait=0.3)
    await bus.publish_batch([say("work.a", "done"), say("work.a", "left")], stream="WORK")
    reader = await bus.reader("WORK", "worker")
    done, _left = await fetched(reader, 2)
    await reader.ack(done)
    assert texts(await fetched(reader, 1)) == ["left"]


async def test_an_effect_in_progress_is_not_delivered_again(stage: Stage, bus: Bus) -> None:
    await stage.add_consumer("WORK", "worker", kind="effect", ack_wait=1.0)
    await bus.publish(say("work.a"), stream="WORK")
    reader = await bus.reader("WORK", "worker")
    (message,) = await fetched(reader, 1)
    for _turn in range(4):
        await reader.in_progress(message)
        assert await reader.fetch(1, 0.4) == []


async def test_workers_share_an_effect_consumer(stage: Stage, bus: Bus) -> None:
    await stage.add_consumer("WORK", "worker", kind="effect")
    await bus.publish_batch([say("work.a", str(n)) for n in range(10)], stream="WORK")
    one, two = await bus.reader("WORK", "worker"), await bus.reader("WORK", "worker")
    found = await fetched(one, 5) + await fetched(two, 5)
    assert sorted(texts(found)) == [str(n) for n in range(10)]


async def test_who_leaves_in_order_answers_what_was_asked_before(stage: Stage, bus: Bus) -> None:
    async def echo(message: Message) -> bytes:
        return message.data

    serving = await (await stage.bus("server")).serve("echo.*", echo)
    asked = [asyncio.create_task(bus.request("echo.a", b"%d" % n, timeout=5)) for n in range(200)]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    await serving.drain()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    # Nobody waits in vain: an answer, or at once the word that nobody serves any more.
    assert {type(answer) for answer in answers} <= {Message, NobodyAnswers}
    with pytest.raises(NobodyAnswers):
        await bus.request("echo.a", b"late", timeout=5)


async def test_a_service_answers(stage: Stage, bus: Bus) -> None:
    async def echo(message: Message) -> bytes:
        return message.subject.encode() + b" " + message.data

    serving = await (await stage.bus("server")).serve("echo.*", echo)
    assert (await bus.request("echo.a", b"hello", timeout=5)).data == b"echo.a hello"
    await serving.stop()
    with pytest.raises(NobodyAnswers):
        await bus.request("echo.a", b"", timeout=5)


async def test_each_group_hears_a_request_once_and_who_has_no_answer_leaves_it_to_the_other(
    stage: Stage, bus: Bus
) -> None:
    heard: list[str] = []
    replies: set[str] = set()

    async def silent(message: Message) -> None:
        heard.append("silent")
        replies.add(message.reply)

    async def answer(message: Message) -> bytes:
        heard.append("answers")
        replies.add(message.reply)
        return b"done"

    server = await stage.bus("server")
    for handler, group in ((silent, "one"), (silent, "one"), (answer, "two"), (answer, "two")):
        await server.serve("shared", handler, group=group)
    assert (await bus.request("shared", b"", timeout=5)).data == b"done"
    await until(lambda: len(heard) == 2)
    assert sorted(heard) == ["answers", "silent"]
    assert len(replies) == 1  # the request's own name, and the same for both


async def test_a_slow_answer_does_not_hold_up_the_next(stage: Stage, bus: Bus) -> None:
    gate = asyncio.Event()

    async def answer(message: Message) -> bytes:
        if message.data == b"slow":
            await gate.wait()
        return message.data

    await (await stage.bus("server")).serve("echo", answer)
    slow = asyncio.create_task(bus.request("echo", b"slow", timeout=10))
    assert (await bus.request("echo", b"fast", timeout=5)).data == b"fast"
    gate.set()
    assert (await slow).data == b"slow"


async def test_nobody_answering_is_said_at_once(bus: Bus) -> None:
    with pytest.raises(NobodyAnswers):
        await bus.request("nobody.here", b"", timeout=60)


async def test_an_answer_that_does_not_come_is_unavailable(stage: Stage, bus: Bus) -> None:
    async def never(message: Message) -> bytes:
        await asyncio.Event().wait()
        return b""

    await (await stage.bus("server")).serve("never", never)
    with pytest.raises(BrokerUnavailable):
        await bus.request("never", b"", timeout=0.2)


async def test_a_service_that_breaks_tells_the_asker(stage: Stage, bus: Bus) -> None:
    async def broken(message: Message) -> bytes:
        raise ArithmeticError("broken on purpose")

    await (await stage.bus("server")).serve("broken", broken)
    with pytest.raises(BrokerUnavailable, match="failed"):
        await bus.request("broken", b"", timeout=5)


async def test_a_listener_hears_in_order_until_it_stops(stage: Stage, bus: Bus) -> None:
    heard: list[bytes] = []
    ten = asyncio.Event()

    async def hear(message: Message) -> None:
        heard.append(message.data)
        if len(heard) == 10:
            ten.set()

    listening = await (await stage.bus("listener")).listen("work.*", hear)
    await bus.publish_batch([say("work.a", str(n)) for n in range(10)], stream="WORK")
    async with asyncio.timeout(5):
        await ten.wait()
    await listening.stop()
    await bus.publish(say("work.a"), stream="WORK")
    assert heard == [str(n).encode() for n in range(10)]


async def test_a_bucket_keeps_the_last_per_subject_and_its_sequences_rise(stage: Stage, bus: Bus) -> None:
    await stage.add_stream("KV_b", "$KV.b.>", keeps_last=True)
    first = await bus.publish(say("$KV.b.x", "1"), stream="KV_b", expected_last=0, expected_subject="$KV.b.>")
    second = await bus.publish(
        say("$KV.b.y", "2"), stream="KV_b", expected_last=first, expected_subject="$KV.b.>"
    )
    await bus.publish(say("$KV.b.x", "3"), stream="KV_b", expected_last=second, expected_subject="$KV.b.>")
    assert await bus.get("KV_b", first) is None
    with pytest.raises(Conflict):
        await bus.publish(say("$KV.b.y"), stream="KV_b", expected_last=second, expected_subject="$KV.b.>")
