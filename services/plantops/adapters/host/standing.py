"""Whether a permit still stands: time, lease, generation, and the gate's own last word."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.clock import Clock
from plantops.events import Event, EventUnreadable, decode, event_type, subjects
from plantops.events.base import AssetName, from_nanoseconds
from plantops.events.command_parts import Permit
from plantops.events.commands import CommandCancelled, GenerationRaised
from plantops.events.envelope import Message
from plantops.flow.bus import Bus, Stored
from plantops.flow.trust import Trust
from plantops.runtime.errors import TrustError


class Generations:
    """The highest generation of each asset that this process has heard of: by it a stop outruns at once
    what runs beside it."""

    def __init__(self) -> None:
        self._heard: dict[AssetName, int] = {}

    def raise_to(self, asset: AssetName, generation: int) -> None:
        """A safe-direction permit with this generation has arrived."""
        self._heard[asset] = max(generation, self._heard.get(asset, 0))

    def heard(self, asset: AssetName) -> int:
        """0 when none was heard."""
        return self._heard.get(asset, 0)


class Standing:
    """One permit as it was delivered in `stored`, watched until its last write."""

    def __init__(
        self,
        permit: Permit,
        stored: Stored,
        *,
        bus: Bus,
        trust: Trust,
        clock: Clock,
        generations: Generations,
        is_ours: Callable[[], bool],
    ) -> None:
        self._permit, self._stored = permit, stored
        self._bus, self._trust, self._clock, self._generations = bus, trust, clock, generations
        self._is_ours = is_ours
        self._received_at = clock.monotonic()
        self._gone_by: tuple[int, float] | None = None

    def now(self) -> datetime:
        """UTC; never before the broker's time of the permit, so that a clock that lags prolongs nothing."""
        if self._gone_by is not None:
            told_ns, told_at = self._gone_by
            return from_nanoseconds(told_ns + round((self._clock.monotonic() - told_at) * 1e9))
        return self.told()

    def told(self) -> datetime:
        """UTC by our own clock whatever `now` goes by, for what is told of a deed: a time of the broker that
        is a moment old would say that it was done before it was."""
        return from_nanoseconds(max(self._clock.now_ns(), self._stored.time_ns + self._elapsed()))

    def go_by(self, broker_ns: int) -> None:
        """From now on judge by this time of the broker, a moment ago, and not by our clock."""
        told_ns = max(broker_ns, self._stored.time_ns)
        self._gone_by = told_ns, self._clock.monotonic()

    def _elapsed(self) -> int:
        return round((self._clock.monotonic() - self._received_at) * 1e9)

    def overtaken(self) -> str:
        """Why a stop voids it, as far as this process has heard; empty when none does."""
        permit = self._permit
        heard = self._generations.heard(permit.asset)
        if permit.safe_direction or heard <= permit.generation:
            return ""
        return f"overtaken: {permit.asset} is at generation {heard}, the permit is of {permit.generation}"

    def void(self) -> str:
        """Why it may not be written at this very moment; asked last, with the device in hand."""
        if not self._is_ours():
            return "the lease on the source ran out or went to another host"
        if self.now() > self._permit.not_after:
            return f"the permit ran out at {self._permit.not_after:%H:%M:%S} UTC"
        return self.overtaken()

    def taken(self) -> str:
        """Why what was written may not even be taken back at this very moment; the time does not count."""
        if not self._is_ours():
            return "the lease on the source ran out or went to another host"
        return self.overtaken()

    async def revoked(self) -> str:
        """Why the stream voids it: a higher generation, or a later word of the gate on the command."""
        try:
            return await self._generation_problem() or await self._word_problem()
        except AWAY as error:
            return f"it cannot be known whether the permit still stands: {error}"

    async def outrun(self) -> str:
        """Why the stream leaves the asset to a stop, which then has it; the rest does not count."""
        try:
            return await self._generation_problem()
        except AWAY as error:
            return f"it cannot be known whether a stop has the asset now: {error}"

    async def _generation_problem(self) -> str:
        permit = self._permit
        subject = subjects.generation(permit.site, "any", permit.asset).replace(".any.", ".*.", 1)
        last = await self._bus.last("COMMANDS", subject)
        generation = 0
        if last is not None:
            raised = self._believed(last)
            if raised is None:
                return f"the last generation of {permit.asset} on the stream cannot be believed"
            generation = raised.generation
            self._generations.raise_to(permit.asset, generation)
        if generation == permit.generation:
            return ""
        return f"{permit.asset} is at generation {generation}, the permit is of {permit.generation}"

    async def _word_problem(self) -> str:
        site, _verb, gate, command = self._stored.subject.split(".")[1:]
        last = await self._bus.last("COMMANDS", f"cmd.{site}.*.{gate}.{command}")
        if last is None or last.sequence == self._stored.sequence:
            return ""
        event = _event(last)
        if isinstance(event, CommandCancelled):
            return f"cancelled by {event.by or 'the gate'}: {event.reason}"
        return f"the gate has said {last.subject.split('.')[2]!r} of it since"

    def _believed(self, stored: Stored) -> GenerationRaised | None:
        try:
            event = decode(stored.data)
            message = Message(stored.subject, stored.data, stored.headers)
            self._trust.at(stored.time_ns).believe(event_type(event), event.version, message)
        except (EventUnreadable, TrustError):
            return None
        return event if isinstance(event, GenerationRaised) and event.asset == self._permit.asset else None


def _event(stored: Stored) -> Event | None:
    """For its words only: whatever stands there as the gate's later word voids the permit."""
    try:
        return decode(stored.data)
    except EventUnreadable:
        return None
