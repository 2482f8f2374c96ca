"""Frames on their way: each is delivered once, or stands in a gap."""

import asyncio
from contextlib import suppress

import pytest

from plantops.adapters.host.framing import Framer
from plantops.adapters.host.gaps import GapTeller
from plantops.adapters.host.outbox import MAX_BATCH_FRAMES, Outbox
from plantops.events.frames import Sample
from plantops.events.sources import GapRecorded
from plantops.flow.memory import MemoryBus
from plantops.runtime.errors import Fenced
from support.host_ground import DEFINITION, SETPOINT, SITE, SOURCE, Ground, is_complete, sequences
from support.manual_clock import calm

LIVE_SECONDS = 2.0


class Rig:
    """An outbox on a ground, fed with counter samples."""

    def __init__(self, *, limit: int = 1000, epoch: int = 1, ground: Ground | None = None) -> None:
        self.ground = ground or Ground()
        self.bus: MemoryBus = self.ground.bus()
        self.is_held = True
        self.breaks = 0
        self.framer = Framer(DEFINITION, epoch)
        clock, signer = self.ground.clock, self.ground.signer
        self.gaps = GapTeller(self.bus, signer, clock, site=SITE, source=SOURCE, epoch=epoch)
        self.outbox = Outbox(
            self.bus,
            signer,
            clock,
            self.gaps,
            site=SITE,
            source=SOURCE,
            epoch=epoch,
            limit=limit,
            live_seconds=LIVE_SECONDS,
            is_held=lambda: self.is_held,
            on_break=self._break,
        )
        self.task = asyncio.create_task(self.outbox.run())

    def _break(self) -> None:
        self.breaks += 1

    def produce(self, frames: int) -> None:
        for _frame in range(frames):
            value = float(self.framer.sequence + 1)
            self.outbox.add(
                self.framer.frames([Sample(SETPOINT, value, 192)], self.ground.clock.now_ns(), [0])
            )

    def told_gaps(self) -> list[GapRecorded]:
        told = self.ground.told(GapRecorded, stream="SOURCES")
        return [gap for gap in told if isinstance(gap, GapRecorded)]

    def is_accounted(self) -> bool:
        """Delivered and gaps make up exactly what was produced; the counts in the gaps are exact."""
        gaps = [(gap.first, gap.last) for gap in self.told_gaps()]
        assert all(g.frames == g.samples == g.last - g.first + 1 for g in self.told_gaps())
        return is_complete(sequences(self.ground.frames()), gaps, self.framer.sequence)

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


async def test_frames_arrive_in_order_and_live() -> None:
    rig = Rig()
    rig.produce(250)
    await rig.outbox.drained()
    assert sequences(rig.ground.frames()) == list(range(1, 251))
    assert not any(frame.historical for frame in rig.ground.frames())
    assert rig.breaks == 0
    await rig.stop()


async def test_after_a_short_absence_of_the_broker_everything_is_still_live_and_in_order() -> None:
    rig = Rig()
    rig.bus.disconnect()
    rig.produce(150)
    await rig.ground.clock.advance(1.0)
    rig.bus.reconnect()
    rig.produce(1)
    await rig.ground.clock.advance(1.0)
    assert sequences(rig.ground.frames()) == list(range(1, 152))
    assert rig.breaks == 0
    await rig.stop()


async def test_after_a_long_absence_live_data_goes_first_and_the_rest_is_history() -> None:
    rig = Rig()
    rig.bus.disconnect()
    rig.produce(3 * MAX_BATCH_FRAMES)
    await rig.ground.clock.advance(60.0)
    rig.bus.reconnect()
    rig.produce(5)
    await rig.ground.clock.advance(10.0)
    frames = rig.ground.frames()
    live = [frame for frame in frames if not frame.historical]
    assert sequences(live) == list(range(301, 306))
    assert all(frame.confirms == b"" for frame in frames if frame.historical)
    first_live = frames.index(live[0])
    assert first_live <= MAX_BATCH_FRAMES  # only the batch that was on its way came before
    assert rig.breaks > 0
    assert rig.is_accounted()
    await rig.stop()


async def test_no_confirmation_outlives_a_change_that_became_history() -> None:
    rig = Rig()
    rig.bus.disconnect()
    rig.produce(10)
    await rig.ground.clock.advance(LIVE_SECONDS + 0.5)
    rig.produce(10)  # young, but made in the belief that the first ten are current
    rig.bus.reconnect()
    await rig.ground.clock.advance(10.0)
    assert all(frame.historical for frame in rig.ground.frames())
    assert rig.is_accounted()
    await rig.stop()


@pytest.mark.parametrize("limit", [1, 10, 150])
async def test_an_overflow_is_told_exactly(limit: int) -> None:
    rig = Rig(limit=limit)
    rig.bus.disconnect()
    for _second in range(40):
        rig.produce(20)
        await rig.ground.clock.advance(1.0)
    assert rig.outbox.waiting <= limit + MAX_BATCH_FRAMES
    rig.bus.reconnect()
    rig.produce(1)
    await rig.ground.clock.advance(20.0)
    assert rig.told_gaps()
    assert {gap.cause for gap in rig.told_gaps()} == {"outbox_full"}
    assert rig.is_accounted()
    assert rig.breaks > 0
    await rig.stop()


@pytest.mark.parametrize("lost", [1, 2, 3, 5])
async def test_a_batch_whose_answer_got_lost_is_recognised(lost: int) -> None:
    rig = Rig()
    rig.produce(1)
    await rig.outbox.drained()
    rig.ground.broker.lose_acks(lost)
    for _round in range(8):
        rig.produce(30)
        await rig.ground.clock.advance(0.3)
    await rig.ground.clock.advance(20.0)
    assert rig.is_accounted()
    await rig.stop()


async def test_gaps_are_told_once_though_their_answers_get_lost() -> None:
    rig = Rig(limit=1)
    rig.bus.disconnect()
    rig.produce(50)
    await rig.ground.clock.advance(1.0)
    rig.bus.reconnect()
    rig.ground.broker.lose_acks(4)
    rig.produce(1)
    for _round in range(10):
        await rig.ground.clock.advance(5.0)
        rig.produce(1)
    await rig.ground.clock.advance(5.0)
    assert rig.is_accounted()
    await rig.stop()


async def test_nothing_is_sent_without_the_lease() -> None:
    rig = Rig()
    rig.is_held = False
    rig.produce(10)
    await rig.ground.clock.advance(1.0)
    assert rig.ground.frames() == []
    rig.is_held = True
    await rig.ground.clock.advance(5.0)
    assert rig.is_accounted()
    await rig.stop()


async def test_frames_of_a_higher_epoch_fence_the_old_owner() -> None:
    rig = Rig(epoch=1)
    rig.produce(1)
    await rig.outbox.drained()
    other = Rig(epoch=2, ground=rig.ground)
    other.produce(3)
    await other.outbox.drained()
    rig.produce(1)
    with pytest.raises(Fenced):
        await rig.task
    assert [(frame.epoch, frame.sequence) for frame in rig.ground.frames()] == [
        (1, 1),
        (2, 1),
        (2, 2),
        (2, 3),
    ]
    await other.stop()


async def test_a_straggler_of_a_lower_epoch_does_not_stop_the_owner() -> None:
    rig = Rig(epoch=2)
    rig.produce(1)
    await rig.outbox.drained()
    old = Framer(DEFINITION, 1).frames([Sample(SETPOINT, 0.0, 192)], 0)[0]
    await rig.bus.publish(rig.ground.signer.frame_message(f"tag.{SITE}.{SOURCE}", old), stream="TAGS")
    rig.produce(2)
    await rig.ground.clock.advance(5.0)
    assert [frame.sequence for frame in rig.ground.frames() if frame.epoch == 2] == [1, 2, 3]
    await rig.stop()


async def test_an_interrupted_publisher_goes_on_where_it_stood() -> None:
    rig = Rig()
    for _round in range(20):
        rig.produce(7)
        rig.bus.pause()
        await calm()
        await rig.stop()
        rig.bus.resume()
        rig.ground.broker.lose_acks(1)
        rig.task = asyncio.create_task(rig.outbox.run())
        await rig.ground.clock.advance(0.1)
    await rig.ground.clock.advance(20.0)
    assert rig.is_accounted()
    await rig.stop()


async def test_what_is_abandoned_is_told_as_a_gap() -> None:
    rig = Rig()
    rig.is_held = False
    rig.produce(5)
    await rig.ground.clock.advance(1.0)
    await rig.stop()
    rig.outbox.abandon()
    await rig.gaps.tell()
    assert [gap.cause for gap in rig.told_gaps()] == ["restart"]
    assert rig.is_accounted()
