"""One source while it is ours: connect, poll or listen, notice loss, connect again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from plantops.adapters.contract import Connection
from plantops.adapters.host.changes import Changes
from plantops.adapters.host.clock import Clock
from plantops.adapters.host.framing import Framer
from plantops.adapters.host.gaps import GapTeller
from plantops.adapters.host.lanes import Device, Lane
from plantops.adapters.host.notices import Notices
from plantops.adapters.host.outbox import Outbox
from plantops.adapters.host.schedule import Schedule, backoff_seconds
from plantops.events.frames import Sample
from plantops.events.quality import Quality
from plantops.events.tags import SourceDefined
from plantops.runtime.cancelling import heed_cancel
from plantops.runtime.errors import DeviceError, DeviceUnavailable

log = structlog.get_logger()

# What a subscription hears within this span travels together.
FLUSH_SECONDS = 0.05


class Session:
    """Keeps one device connected, and puts what it says into the outbox.

    Says once when the device goes and once when it answers again: a log line, an event, and on loss a
    frame that makes every tag bad.
    """

    def __init__(
        self,
        *,
        definition: SourceDefined,
        build: Callable[[], Connection],
        is_subscribed: bool,
        device: Device,
        changes: Changes,
        framer: Framer,
        outbox: Outbox,
        gaps: GapTeller,
        notices: Notices,
        clock: Clock,
        random: Callable[[], float],
        connect_seconds: float,
    ) -> None:
        self._definition, self._build, self._is_subscribed = definition, build, is_subscribed
        self._device, self._changes, self._framer, self._outbox = device, changes, framer, outbox
        self._gaps, self._notices, self._clock, self._random = gaps, notices, clock, random
        self._connect_seconds = connect_seconds
        self._members: list[list[int]] = [[] for _ in definition.groups]
        for index, tag in enumerate(definition.tags):
            self._members[tag.group].append(index)
        self._is_up: bool | None = None
        self._lost_at = 0.0
        self._attempt = 0

    async def run(self) -> None:
        """For ever. Raises: SettingsError when the device refuses the credentials."""
        while True:
            cause = await self._connected_once()
            self._say_lost(cause)
            delay = backoff_seconds(self._attempt, self._random())
            self._attempt += 1
            await self._wait(delay)

    async def _wait(self, seconds: float) -> None:
        """Wait before the next try; somebody who has to stop something cannot."""
        waits = [
            asyncio.ensure_future(self._clock.sleep(seconds)),
            asyncio.ensure_future(self._device.wanted.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._device.wanted.clear()

    async def _connected_once(self) -> str:
        """Why the connection ended."""
        connection = self._build()
        try:
            async with asyncio.timeout(self._connect_seconds):
                await connection.connect()
            heed_cancel()
            lost = self._device.attach(connection)
            return await self._serve(connection, lost)
        except TimeoutError:
            return f"no connection within {self._connect_seconds} s"
        except DeviceError as error:
            return error.message
        finally:
            self._device.lose("the connection was closed")
            await connection.close()

    async def _serve(self, connection: Connection, lost: asyncio.Future[str]) -> str:
        work = asyncio.create_task(self._listen(connection) if self._is_subscribed else self._poll())
        try:
            either: list[asyncio.Future[Any]] = [work, lost]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                return lost.result()
            work.result()
            return "the adapter ended its work"
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError, DeviceError):
                await work

    async def _poll(self) -> None:
        periods = [group.period_ms / 1000 for group in self._definition.groups]
        schedule = Schedule(periods, self._clock.monotonic())
        while True:
            due = schedule.take(self._clock.monotonic())
            groups = [g for g in due if self._members[g]]
            if due and not self._definition.tags:
                # It only carries operations out; asked for nothing, it still says that it is there.
                await self._device.read([], Lane.POLL)
                self._say_up()
            if groups:
                tags = [tag for group in groups for tag in self._members[group]]
                samples = await self._device.read(tags, Lane.POLL)
                self._say_up()
                self._deliver(samples, self._clock.now_ns(), groups)
            await self._clock.sleep(max(0.0, schedule.next - self._clock.monotonic()))

    async def _listen(self, connection: Connection) -> None:
        heard = Heard(self._gaps, self._device)
        try:
            async with asyncio.timeout(self._connect_seconds):
                await connection.subscribe(heard)
            heed_cancel()
        except TimeoutError as error:
            raise DeviceUnavailable(
                f"no subscription within {self._connect_seconds} s", source=self._definition.source
            ) from error
        self._say_up()
        while True:
            samples, groups, observed_at = heard.take()
            if samples or groups or self._changes.is_forgotten:
                self._deliver(samples, observed_at or self._clock.now_ns(), groups)
            await self._clock.sleep(FLUSH_SECONDS)

    def _deliver(self, samples: Sequence[Sample], observed_at: int, groups: Sequence[int]) -> None:
        now = self._clock.monotonic()
        if self._is_subscribed and self._changes.is_forgotten:
            # Nobody will ask the device again: what it said last stands for what it says now.
            samples = self._changes.with_seen(samples)
        chosen = self._changes.select(samples, now)
        frames = self._framer.frames(chosen, observed_at, groups)
        if frames:
            self._outbox.add(frames)

    def _say_up(self) -> None:
        if self._is_up:
            return
        if self._is_up is False:
            away = round(self._clock.monotonic() - self._lost_at, 1)
            log.info("device.back", source=self._definition.source, away_seconds=away)
        self._is_up = True
        self._attempt = 0
        self._notices.up()

    def _say_lost(self, cause: str) -> None:
        if self._is_up is not False:
            self._is_up = False
            self._lost_at = self._clock.monotonic()
            log.warning("device.lost", source=self._definition.source, cause=cause)
            self._notices.lost(cause)
        bad = [Sample(index, None, Quality.BAD_COMMUNICATION) for index in range(len(self._definition.tags))]
        # Sent again only when the first was delivered as history, or the heartbeat asks for it.
        frames = self._framer.frames(self._changes.select(bad, self._clock.monotonic()), self._clock.now_ns())
        if frames:
            self._outbox.add(frames)


class Heard:
    """Collects what a subscription tells until the next flush; see `contract.Sink`."""

    def __init__(self, gaps: GapTeller, device: Device) -> None:
        self._gaps, self._device = gaps, device
        self._samples: list[Sample] = []
        self._groups: set[int] = set()
        self._observed_at = 0

    def samples(self, samples: Sequence[Sample], observed_at: int) -> None:
        self._samples.extend(samples)
        self._observed_at = observed_at

    def confirm(self, group: int, observed_at: int) -> None:
        self._groups.add(group)
        self._observed_at = observed_at

    def overflow(self, samples: int) -> None:
        self._gaps.unnumbered(samples, "device_overrun")

    def lost(self, cause: str) -> None:
        self._device.lose(cause)

    def take(self) -> tuple[list[Sample], list[int], int]:
        """All samples, confirmed groups and the time of the last of them; nothing of it is kept."""
        taken = self._samples, sorted(self._groups), self._observed_at
        self._samples, self._groups, self._observed_at = [], set(), 0
        return taken
