"""How a process learns which policy is in force: the last one on its subject that verifies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from plantops.events import EventUnreadable, decode
from plantops.events.operations import PolicyPublished
from plantops.events.subjects import policy
from plantops.flow.bus import Bus
from plantops.policy.in_force import InForce
from plantops.runtime.errors import BrokerError, PolicyRejected

POLL_SECONDS = 1.0

log = structlog.get_logger("plantops.policy")


async def refresh(bus: Bus, in_force: InForce, now: datetime) -> bool:
    """Look once; True when another policy came into force. Raises: BrokerUnavailable, PolicyRejected."""
    stored = await bus.last("POLICY", policy(in_force.site))
    if stored is None:
        return False
    try:
        event = decode(stored.data)
    except EventUnreadable as error:
        raise PolicyRejected(f"what stands on {stored.subject} is no policy: {error}") from error
    if not isinstance(event, PolicyPublished):
        raise PolicyRejected(f"{stored.subject} carries {type(event).__name__}, not a policy")
    return in_force.offer(event.envelope.encode(), now)


async def first(bus: Bus, in_force: InForce, *, patience_seconds: float) -> None:
    """Wait for the first policy that holds. Raises: PolicyRejected when none came in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_seconds
    while in_force.verified is None:
        await refresh(bus, in_force, datetime.now(UTC))
        if in_force.verified is None:
            if loop.time() > deadline:
                raise PolicyRejected("no policy was published: run `plantops policy activate`")
            await asyncio.sleep(POLL_SECONDS / 4)


async def follow(bus: Bus, in_force: InForce, on_change: Callable[[], None] = lambda: None) -> None:
    """Look again every second until cancelled. A policy that does not hold is told once and not followed."""
    told = ""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        try:
            if await refresh(bus, in_force, datetime.now(UTC)):
                verified = in_force.verified
                log.info("policy.in_force", revision=verified.policy.revision if verified else None)
                on_change()
        except PolicyRejected as error:
            if str(error) != told:
                told = str(error)
                log.warning("policy.rejected", reason=told)
        except BrokerError:
            continue  # the connection mends itself, and says so
