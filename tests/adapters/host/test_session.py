"""One device: polled or listened to, lost and found."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from plantops.events import decode
from plantops.events.frames import Sample
from plantops.events.quality import Quality
from plantops.events.queries import BrowseTold, read_answer
from plantops.events.sources import GapRecorded, SourceLost, SourceUp
from plantops.events.tags import SourceDefined
from support.host_ground import DEFINITION, NAMES, SETPOINT, SPEED, Ground
from support.host_rig import Rig, device
from support.manual_clock import until


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    structlog.reset_defaults()
    with capture_logs() as captured:
        yield captured


def values(rig: Rig, tag: int) -> list[tuple[object, int]]:
    return [
        (value, quality)
        for frame in rig.seen()
        for name, value, quality, _time in frame.samples()
        if name == NAMES[tag]
    ]


async def test_the_definition_is_stored_before_the_first_frame(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    stored = list(rig.ground.broker.stream("DEFINITIONS").messages.values())
    assert [decode(one.data) for one in stored] == [DEFINITION]
    assert isinstance(DEFINITION, SourceDefined)
    assert rig.seen()[0].layout == stored[0].subject.rsplit(".", 1)[1]
    await rig.stop()


async def test_each_period_is_confirmed_though_nothing_changes(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    await rig.ground.clock.advance(10.0)
    frames = rig.seen()
    assert len(frames) == 11
    assert all(frame.confirms == (0,) for frame in frames)
    assert [frame.size for frame in frames] == [4] + [0] * 10
    await rig.stop()


async def test_a_device_that_goes_and_comes_back_is_told_once_each(
    tmp_path: Path, lines: list[EventDict]
) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.is_away = True
    await rig.ground.clock.advance(120.0)
    assert [quality for _value, quality in values(rig, SPEED)][1:] == [Quality.BAD_COMMUNICATION] * 2
    rig.device.is_away = False
    rig.device.values[SPEED] = 7.0
    await rig.ground.clock.advance(60.0)
    told = rig.ground.told(SourceUp, SourceLost, stream="SOURCES")
    assert [type(one) for one in told] == [SourceUp, SourceLost, SourceUp]
    assert values(rig, SPEED)[-1] == (7.0, Quality.GOOD)
    assert [line["event"] for line in lines if line["event"].startswith("device.")] == [
        "device.lost",
        "device.back",
    ]
    await rig.stop()
    assert rig.device.open == 0


async def test_a_device_that_is_away_from_the_start_is_bad_and_tried_ever_more_rarely(tmp_path: Path) -> None:
    plant = device()
    plant.is_away = True
    rig = await Rig(tmp_path, plant=plant).up()
    assert {quality for _value, quality in values(rig, SPEED)} == {Quality.BAD_COMMUNICATION}
    assert all(frame.confirms == () for frame in rig.seen())
    await rig.ground.clock.advance(600.0)
    assert 20 < plant.connections < 40
    await rig.stop()


async def test_a_half_open_connection_is_dropped_and_made_anew(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.is_silent = True
    before = rig.device.connections
    await rig.ground.clock.advance(1.0)
    await until(lambda: rig.device.open == 0)
    rig.device.is_silent = False
    await rig.ground.clock.advance_until(lambda: values(rig, SPEED)[-1][1] == Quality.GOOD)
    assert rig.device.connections > before
    assert Quality.BAD_COMMUNICATION in [quality for _value, quality in values(rig, SPEED)]
    await rig.stop()


async def test_a_host_stops_though_the_end_comes_in_the_same_turn_as_an_answer(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.loses_cancels = True
    rig.device.may_read.clear()
    await rig.ground.clock.advance(1.0)  # a poll hangs
    assert rig.device.concurrent_requests == 1
    await rig.stop()
    assert rig.device.open == 0


async def test_one_bad_tag_leaves_its_neighbours_good(tmp_path: Path) -> None:
    plant = device()
    plant.bad[SPEED] = Quality.BAD_CONFIGURATION
    rig = await Rig(tmp_path, plant=plant).up()
    assert values(rig, SPEED) == [(None, Quality.BAD_CONFIGURATION)]
    assert values(rig, SETPOINT) == [(100.0, Quality.GOOD)]
    await rig.stop()


async def test_a_slow_device_is_not_asked_in_a_burst_afterwards(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.may_read.clear()
    reads = rig.device.reads
    await rig.ground.clock.advance(5.5)
    rig.device.may_read.set()
    await rig.ground.clock.advance(0.0)
    assert rig.device.reads == reads + 2  # the one that hung, and one for all that were missed
    await rig.stop()


async def test_every_sample_of_a_counter_is_delivered_or_in_a_gap(tmp_path: Path) -> None:
    plant = device()

    def count() -> None:
        plant.values[SPEED] = float(plant.reads)

    plant.on_read = count
    rig = await Rig(tmp_path, plant=plant).up()
    for second in range(60):
        if second % 20 == 5:
            rig.bus.disconnect()
        if second % 20 == 12:
            rig.bus.reconnect()
        await rig.ground.clock.advance(1.0)
    await rig.stop()
    delivered = {value for value, _quality in values(rig, SPEED)}
    assert delivered == {float(n) for n in range(1, plant.reads + 1)}
    live = [frame for frame in rig.seen() if not frame.historical]
    assert any(frame.historical for frame in rig.seen())
    assert [frame.sequence for frame in live] == sorted(frame.sequence for frame in live)


async def test_live_frames_alone_give_the_true_picture_after_an_absence_of_the_broker(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    await rig.ground.clock.advance(3.0)
    rig.bus.disconnect()
    await rig.ground.clock.advance(1.0)
    rig.device.values[SETPOINT] = 555.0  # changes once, while nobody can be told
    await rig.ground.clock.advance(30.0)
    rig.bus.reconnect()
    await rig.ground.clock.advance(5.0)
    picture: dict[str, object] = {}
    confirmed_after_change = False
    for frame in rig.seen():
        if frame.historical:
            continue
        picture |= {name: value for name, value, _quality, _time in frame.samples()}
        if frame.confirms and frame.sequence > 6:
            confirmed_after_change = True
            assert picture["setpoint"] == 555.0
    assert confirmed_after_change
    await rig.stop()


async def test_a_subscription_is_delivered_in_order_and_its_overflow_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path, subscribe=True)
    await rig.ground.clock.advance(1.0)
    sink = rig.device.sink
    assert sink is not None
    now = rig.ground.clock.now_ns()
    sink.samples([Sample(SPEED, float(n), Quality.GOOD) for n in range(2500)], now)
    sink.confirm(0, now)
    sink.overflow(17)
    await rig.ground.clock.advance(1.0)
    assert [value for value, _quality in values(rig, SPEED)] == [float(n) for n in range(2500)]
    assert [frame.confirms for frame in rig.seen()] == [(), (), (0,)]
    gaps = [gap for gap in rig.ground.told(GapRecorded, stream="SOURCES") if isinstance(gap, GapRecorded)]
    assert [(gap.samples, gap.cause, gap.first) for gap in gaps] == [(17, "device_overrun", 0)]
    await rig.stop()


async def test_a_subscription_tells_everything_anew_after_an_absence_of_the_broker(tmp_path: Path) -> None:
    rig = Rig(tmp_path, subscribe=True)
    await rig.ground.clock.advance(1.0)
    assert rig.device.sink is not None
    rig.device.sink.samples([Sample(n, float(n), Quality.GOOD) for n in range(1, 4)], 0)
    await rig.ground.clock.advance(1.0)
    rig.bus.disconnect()
    rig.device.sink.samples([Sample(SPEED, 9.0, Quality.GOOD)], 0)
    await rig.ground.clock.advance(30.0)
    rig.bus.reconnect()
    await rig.ground.clock.advance(5.0)
    live = [frame for frame in rig.seen() if not frame.historical]
    assert {str(name): value for name, value, _q, _t in live[-1].samples()}["speed"] == 9.0
    await rig.stop()


async def test_a_lost_subscription_is_made_anew(tmp_path: Path) -> None:
    rig = Rig(tmp_path, subscribe=True)
    await rig.ground.clock.advance(1.0)
    first = rig.device.sink
    assert first is not None
    first.lost("the server closed the session")
    await rig.ground.clock.advance(5.0)
    assert rig.device.sink is not first
    assert rig.device.open == 1
    await rig.stop()


async def test_of_two_hosts_on_one_source_one_is_active_and_the_other_takes_over(tmp_path: Path) -> None:
    ground, plant = Ground(), device()
    first = await Rig(tmp_path / "a", ground=ground, plant=plant, owner="first").up()
    second = Rig(tmp_path / "b", ground=ground, plant=plant, owner="second")
    await ground.clock.advance(60.0)
    assert set(first.owners) == {"first"}
    assert plant.open == 1
    await first.crash()
    assert plant.open == 0
    await ground.clock.advance(20.0)
    assert second.owners[-1] == "second"
    assert [frame.epoch for frame in ground.frames()] == sorted(frame.epoch for frame in ground.frames())
    gaps = [gap for gap in ground.told(GapRecorded, stream="SOURCES") if isinstance(gap, GapRecorded)]
    assert [(gap.epoch, gap.cause) for gap in gaps] == [(1, "restart")]
    await second.stop()


async def test_a_clean_stop_delivers_what_is_left_and_frees_the_source(tmp_path: Path) -> None:
    ground, plant = Ground(), device()
    first = await Rig(tmp_path / "a", ground=ground, plant=plant, owner="first").up()
    await first.stop()
    second = Rig(tmp_path / "b", ground=ground, plant=plant, owner="second")
    await ground.clock.advance(0.0)
    assert second.owners[-1] == "second"
    assert ground.told(GapRecorded, stream="SOURCES") == []
    await second.stop()


async def test_a_broker_that_is_still_starting_and_knows_no_stream_ends_nothing(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    streams = dict(rig.ground.broker.streams)
    rig.ground.broker.streams.clear()
    await rig.ground.clock.advance(20.0)
    assert not rig.task.done()
    rig.ground.broker.streams.update(streams)
    await rig.ground.clock.advance(10.0)
    numbers = sorted(frame.sequence for frame in rig.seen())
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 25
    await rig.stop()


async def test_browsing_is_answered_from_the_device_and_bounded(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    asker = rig.ground.broker.bus("cli")
    reply = await asker.request("browse.demo.plc1", b'{"limit": 3}', timeout=1.0)
    told = read_answer(reply.data, BrowseTold)
    assert isinstance(told, BrowseTold)
    assert ([one.address for one in told.found], told.is_complete) == (["0", "1", "2"], False)
    await rig.stop()
