"""What comes in is archived once and in order, whatever the broker does; one stream's trouble is its own."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plantops.archive import writer
from plantops.events.envelope import DATA_SCHEMA, EVENT_TYPE, Message
from plantops.events.tags import ScanGroup
from support.archive_rig import Archive, Rig, rig
from support.gate_samples import PLC1, POLICY, after, person
from support.nats import until

FRAMES = 40


@pytest.fixture
async def plant() -> Rig:
    return await rig()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "live.duckdb"


async def stored(archive: Archive, count: int, table: str = "frame") -> None:
    await until(lambda: archive.one(f"SELECT count(*) FROM {table}") >= count)


def numbers(archive: Archive) -> list[float]:
    return [value for (value,) in archive.rows("SELECT value FROM sample ORDER BY sequence, place")]


def counted(plant: Rig) -> list[float]:
    return [float(number) for number in range(1, plant.frames + 1)]


async def test_what_is_delivered_again_is_stored_once(plant: Rig, path: Path) -> None:
    async with plant.running(path) as archive:
        for _ in range(4):
            await plant.feed(FRAMES // 4)
            await stored(archive, plant.frames)
            plant.broker.stream("TAGS").consumers["archive"].reset(1)
            plant.broker.wake()
        await plant.feed(1)
        await stored(archive, plant.frames)
        assert numbers(archive) == counted(plant)
        assert archive.rows("SELECT * FROM hole") == []


async def test_what_somebody_else_took_from_the_consumer_is_fetched_again(plant: Rig, path: Path) -> None:
    async with plant.running(path) as archive:
        await plant.feed(5)
        await stored(archive, 5)
        reader = await plant.broker.bus("thief").reader("TAGS", "archive")
        stream = plant.broker.stream("TAGS")
        messages = [plant.frame() for _ in range(5)]
        for message in messages:
            stream.append(message, plant.now_ns)  # nobody is woken yet
        assert len(await reader.fetch(3, 1)) == 3
        plant.broker.wake()
        await stored(archive, 10)
        assert numbers(archive) == counted(plant)


async def test_what_somebody_else_took_is_fetched_again_although_nothing_follows_it(
    plant: Rig, path: Path
) -> None:
    async with plant.running(path) as archive:
        await plant.feed(2)
        await stored(archive, 2)
        reader = await plant.broker.bus("thief").reader("TAGS", "archive")
        for message in [plant.frame() for _ in range(3)]:
            plant.broker.stream("TAGS").append(message, plant.now_ns)  # nobody is woken
        assert len(await reader.fetch(3, 1)) == 3
        await until(lambda: archive.one("SELECT count(*) FROM frame") == 5, seconds=15)
        assert numbers(archive) == counted(plant)


async def test_the_broker_is_told_what_is_stored_at_once_when_it_is_much_and_later_when_it_is_little(
    plant: Rig, path: Path
) -> None:
    consumer = plant.broker.stream("TAGS").consumers["archive"]
    async with plant.running(path) as archive:
        for count in (1, 1, 600):
            await plant.feed(count)
            await until(lambda: consumer.ack_floor == plant.frames, seconds=15)
            assert archive.one("SELECT count(*) FROM frame") == plant.frames


async def test_enough_for_whole_row_groups_is_stored_without_waiting_for_company(
    plant: Rig, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "FULL_COMMIT", 10)
    async with plant.running(path, commit_seconds=3600) as archive:
        await plant.feed(20)
        await stored(archive, 10)


async def test_a_restart_goes_on_where_the_file_stands_not_where_the_broker_stands(
    plant: Rig, path: Path
) -> None:
    async with plant.running(path) as archive:
        await plant.feed(10)
        await stored(archive, 10)
    plant.broker.stream("TAGS").consumers["archive"].reset(1)  # all answers were lost
    await plant.feed(10)
    async with plant.running(path) as archive:
        await stored(archive, 20)
        assert numbers(archive) == counted(plant)


async def test_messages_that_were_taken_out_are_a_hole_that_is_missing(plant: Rig, path: Path) -> None:
    await plant.feed(6)
    plant.broker.stream("TAGS").drop([3, 4])
    async with plant.running(path) as archive:
        await stored(archive, 4)
        holes = archive.rows("SELECT stream, first, last, cause FROM hole")
        assert holes == [("TAGS", 3, 4, "missing")]


async def test_messages_that_the_stream_let_go_are_a_hole_that_is_expired(plant: Rig, path: Path) -> None:
    await plant.feed(6)
    plant.broker.stream("TAGS").drop([1, 2])
    async with plant.running(path) as archive:
        await stored(archive, 4)
        plant.bus.disconnect()
        await plant.feed(3)
        plant.broker.stream("TAGS").drop([3, 4, 5, 6, 7, 8])
        plant.bus.reconnect()
        await stored(archive, 5)
        assert archive.rows("SELECT first, last, cause FROM hole ORDER BY first") == [
            (1, 2, "expired"),
            (7, 8, "expired"),
        ]


async def test_what_cannot_be_used_is_kept_as_it_came_with_its_cause_and_the_rest_goes_on(
    plant: Rig, path: Path
) -> None:
    good = plant.frame()
    bad = {
        "unknown_type": Message(
            good.subject, good.data, {**good.headers, EVENT_TYPE: "tag.new", DATA_SCHEMA: ""}
        ),
        "unknown_version": Message(
            good.subject, good.data, {**good.headers, DATA_SCHEMA: good.headers[DATA_SCHEMA][:-1] + "9"}
        ),
        "untrusted": plant.frame(secret="adapter-opc1"),
        "malformed": Message(good.subject, b"\xff\x00", good.headers),
    }
    plant.frames = 1
    await plant.send(good, *bad.values())
    await plant.feed(1)
    async with plant.running(path) as archive:
        await stored(archive, 2)
        found = archive.rows(
            "SELECT sequence, cause, data FROM unread WHERE stream = 'TAGS' ORDER BY sequence"
        )
        assert [cause for _sequence, cause, _data in found] == list(bad)
        assert [data for _sequence, _cause, data in found] == [message.data for message in bad.values()]
        assert numbers(archive) == [1.0, 2.0]


async def test_a_key_that_only_the_newest_policy_knows_is_looked_up_and_believed(
    plant: Rig, path: Path
) -> None:
    async with plant.running(path) as archive:
        await plant.feed(1)
        await stored(archive, 1)
        new = msgspec.structs.replace(POLICY.principals["adapter-plc1"], keys=person("x", "X").keys)
        await plant.publish_policy(after(POLICY, principals={**POLICY.principals, "adapter-plc1": new}))
        await plant.send(plant.frame(secret="x"))
        await stored(archive, 2)
        assert archive.rows("SELECT * FROM unread WHERE stream = 'TAGS'") == []


async def test_a_definition_whose_numbers_fit_no_column_stops_nothing(plant: Rig, path: Path) -> None:
    huge = msgspec.structs.replace(PLC1, groups=(ScanGroup(name="all", period_ms=2**40),))
    await plant.define(huge)
    await plant.send(plant.frame(huge))
    plant.frames = 0
    await plant.feed(1)
    async with plant.running(path) as archive:
        await stored(archive, 1)
        assert archive.rows("SELECT cause FROM unread WHERE stream = 'TAGS'") == [("malformed",)]


@pytest.mark.parametrize("is_running", [True, False])
async def test_a_stream_that_was_made_again_halts_only_its_own_intake(
    plant: Rig, path: Path, is_running: bool
) -> None:
    async with plant.running(path) as archive:
        await plant.feed(3)
        await plant.up()
        await stored(archive, 3)
        await stored(archive, 1, "source_state")
        if is_running:
            plant.make("TAGS")
            await plant.feed(5)  # more than there were: they must not be taken for what follows
            await until(lambda: archive.intakes["TAGS"].halted, seconds=15)
            await check_halted(plant, archive)
    if not is_running:
        plant.make("TAGS")
        await plant.feed(5)
    async with plant.running(path) as archive:
        await until(lambda: archive.intakes["TAGS"].halted)
        await check_halted(plant, archive)


async def check_halted(plant: Rig, archive: Archive) -> None:
    assert "made again" in archive.intakes["TAGS"].halted
    before = archive.one("SELECT count(*) FROM source_state")
    await plant.up()
    await stored(archive, before + 1, "source_state")
    assert archive.one("SELECT count(*) FROM frame") == 3
    assert numbers(archive) == [1.0, 2.0, 3.0]


async def test_a_stream_that_is_missing_for_a_while_is_waited_for(plant: Rig, path: Path) -> None:
    async with plant.running(path) as archive:
        await plant.feed(3)
        await stored(archive, 3)
        stream = plant.broker.streams.pop("TAGS")
        plant.broker.wake()
        await until(lambda: archive.intakes["TAGS"].halted, seconds=15)
        assert "run the provisioner" in archive.intakes["TAGS"].halted
        plant.broker.streams["TAGS"] = stream
        await plant.feed(1)
        await stored(archive, 4)
        assert archive.intakes["TAGS"].halted == ""
        assert numbers(archive) == counted(plant)


async def test_a_broker_that_is_away_is_waited_for(plant: Rig, path: Path) -> None:
    async with plant.running(path) as archive:
        await plant.feed(3)
        await stored(archive, 3)
        plant.bus.disconnect()
        await plant.feed(3)
        plant.bus.reconnect()
        await stored(archive, 6)
        assert numbers(archive) == counted(plant)
