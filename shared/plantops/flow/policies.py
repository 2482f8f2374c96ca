"""How a process learns which policy is in force: it goes through the stream as the gate does.

Every policy is held against the time at which the broker stored it. So all processes come to the same one,
a former revision that somebody stores again is refused also by a process that has just started, and a
policy that has expired since is known still: it serves the safe direction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from plantops.events import decode
from plantops.events.base import from_nanoseconds
from plantops.events.operations import PolicyPublished
from plantops.events.subjects import policy
from plantops.flow.bus import Bus, Stored
from plantops.flow.reading import UNUSABLE
from plantops.policy.in_force import InForce
from plantops.runtime.errors import BrokerError, PolicyRejected

POLL_SECONDS = 1.0
PAGE = 16

log = structlog.get_logger("plantops.policy")


async def refresh(bus: Bus, in_force: InForce) -> bool:
    """Look at what is new; True when another policy came into force.

    Raises: BrokerError; PolicyRejected when the newest one does not hold (the one in force goes on, and
    the same is not looked at again).
    """
    last = await bus.last("POLICY", policy(in_force.site))
    if last is None or last.sequence <= in_force.position:
        return False
    has_changed, rejected = False, None
    while page := await bus.history("POLICY", policy(in_force.site), in_force.position + 1, PAGE):
        for stored in page:
            in_force.position, rejected = stored.sequence, None
            try:
                has_changed |= in_force.offer(_envelope(stored), from_nanoseconds(stored.time_ns))
            except PolicyRejected as error:
                rejected = error
    if rejected is not None and not has_changed:
        raise rejected
    return has_changed


def _envelope(stored: Stored) -> bytes:
    try:
        event = decode(stored.data)
        if isinstance(event, PolicyPublished):
            return event.envelope.encode()
    except UNUSABLE as error:
        raise PolicyRejected(f"what stands on {stored.subject} is no policy: {error}") from error
    raise PolicyRejected(f"{stored.subject} carries {type(event).__name__}, not a policy")


async def first(bus: Bus, in_force: InForce, *, patience_seconds: float) -> None:
    """Wait for the first policy that holds. Raises: PolicyRejected when none came in time; BrokerError."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_seconds
    reason = "no policy was published: run `plantops policy activate`"
    while in_force.verified is None:
        try:
            await refresh(bus, in_force)
        except PolicyRejected as error:
            reason = str(error)
        if in_force.verified is None:
            if loop.time() > deadline:
                raise PolicyRejected(reason)
            await asyncio.sleep(POLL_SECONDS / 4)


async def follow(bus: Bus, in_force: InForce, on_change: Callable[[], None] = lambda: None) -> None:
    """Look again every second until cancelled. A policy that does not hold is told once and not followed."""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        try:
            if await refresh(bus, in_force):
                verified = in_force.verified
                log.info("policy.in_force", revision=verified.policy.revision if verified else None)
                on_change()
        except PolicyRejected as error:
            log.warning("policy.rejected", reason=str(error))
        except BrokerError:
            continue  # the connection mends itself, and says so
