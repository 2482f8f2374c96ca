"""Who owns a source."""

import asyncio

import pytest

from plantops.adapters.host.framing import Framer
from plantops.adapters.host.lease import Lease
from plantops.events.frames import Sample
from plantops.events.sources import LeaseTaken
from plantops.flow.memory import MemoryBus
from plantops.runtime.errors import Fenced
from support.host_ground import DEFINITION, SITE, SOURCE, Ground
from support.manual_clock import calm

TTL = 6.0


def lease(ground: Ground, owner: str, bus: MemoryBus | None = None) -> Lease:
    return Lease(
        bus or ground.bus(),
        ground.signer,
        ground.clock,
        site=SITE,
        source=SOURCE,
        owner=owner,
        ttl_seconds=TTL,
    )


def epochs(ground: Ground) -> list[tuple[int, str, bool]]:
    told = ground.told(LeaseTaken, stream="SOURCES")
    return [(one.epoch, one.owner, one.released) for one in told if isinstance(one, LeaseTaken)]


async def test_a_free_source_is_taken_at_once_under_the_first_epoch() -> None:
    ground = Ground()
    assert await lease(ground, "a").acquire() == 1


async def test_a_released_source_is_taken_at_once_under_the_next_epoch() -> None:
    ground = Ground()
    first = lease(ground, "a")
    await first.acquire()
    await first.release()
    assert not first.is_held
    assert await lease(ground, "b").acquire() == 2


async def test_a_standby_waits_until_the_lease_stood_still_for_its_time_to_live() -> None:
    ground = Ground()
    first, second = lease(ground, "a"), lease(ground, "b")
    await first.acquire()
    keeping = asyncio.create_task(first.keep())
    waiting = asyncio.create_task(second.acquire())
    await ground.clock.advance(10 * TTL)
    assert not waiting.done()
    keeping.cancel()  # the process dies
    await ground.clock.advance(TTL - 0.1)
    assert not waiting.done()
    await ground.clock.advance_until(waiting.done)
    assert waiting.result() == 2
    assert second.inherited == 1
    assert not first.is_held


async def test_the_holder_has_stopped_before_a_standby_can_begin() -> None:
    ground = Ground()
    bus = ground.bus()
    first, second = lease(ground, "a", bus), lease(ground, "b")
    await first.acquire()
    keeping = asyncio.create_task(first.keep())
    waiting = asyncio.create_task(second.acquire())
    await ground.clock.advance(TTL)
    bus.disconnect()
    while not waiting.done():
        await ground.clock.advance(0.05)
        assert not (first.is_held and second.is_held)
    bus.reconnect()
    await ground.clock.advance(TTL)
    with pytest.raises(Fenced):
        await keeping


async def test_a_holder_that_was_away_goes_on_under_its_epoch_when_nobody_took_the_source() -> None:
    ground = Ground()
    bus = ground.bus()
    tested = lease(ground, "a", bus)
    await tested.acquire()
    keeping = asyncio.create_task(tested.keep())
    bus.disconnect()
    await ground.clock.advance(TTL)
    assert not tested.is_held
    bus.reconnect()
    await ground.clock.advance(TTL)
    assert tested.is_held
    assert tested.epoch == 1
    keeping.cancel()


async def test_a_renewal_whose_answer_got_lost_is_no_other_owner() -> None:
    ground = Ground()
    tested = lease(ground, "a")
    await tested.acquire()
    ground.broker.lose_acks(3)
    assert not await tested.renew()
    assert not await tested.renew()
    assert await tested.renew()


async def test_a_first_lease_whose_answer_got_lost_is_recognised() -> None:
    ground = Ground()
    ground.broker.lose_acks(3)
    taking = asyncio.create_task(lease(ground, "a").acquire())
    await ground.clock.advance_until(taking.done)
    assert taking.result() == 1


async def test_of_two_that_ask_at_once_one_gets_it() -> None:
    ground = Ground()
    both = [asyncio.create_task(lease(ground, name).acquire()) for name in ("a", "b")]
    await calm()
    assert [one.done() for one in both].count(True) == 1
    assert epochs(ground) == [(1, "a", False)]
    for one in both:
        one.cancel()


async def test_an_epoch_is_never_used_again_though_sources_forgot_the_lease() -> None:
    ground = Ground()
    first = lease(ground, "a")
    await first.acquire()
    await first.release()
    frame = Framer(DEFINITION, epoch=7).frames([Sample(1, 1.0, 192)], ground.clock.now_ns())[0]
    await ground.bus().publish(ground.signer.frame_message(f"tag.{SITE}.{SOURCE}", frame), stream="TAGS")
    stream = ground.broker.stream("SOURCES")
    stream.drop(list(stream.messages))
    assert await lease(ground, "b").acquire() == 8
