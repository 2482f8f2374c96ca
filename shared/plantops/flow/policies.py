"""How a process learns which policy and trust root are in force: it goes through the stream as the gate does.

Every policy is held against the time at which the broker stored it. So all processes come to the same one,
a former revision that somebody stores again is refused also by a process that has just started, and a
policy that has expired since is known still: it serves the safe direction. Trust roots and policies stand in
one order: a policy counts by the root that stands before it, beginning with the file on the host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from plantops.events import decode
from plantops.events.base import from_nanoseconds
from plantops.events.operations import PolicyPublished, RootPublished
from plantops.events.subjects import policy
from plantops.flow.bus import Bus, Stored
from plantops.flow.reading import UNUSABLE
from plantops.policy.in_force import InForce
from plantops.runtime.errors import BrokerError, PolicyRejected, StorageError

POLL_SECONDS = 1.0
PAGE = 16

log = structlog.get_logger("plantops.policy")


async def refresh(bus: Bus, in_force: InForce) -> bool:
    """Look at what is new; True when another policy or trust root came into force.

    A stream that is shorter than it was is looked through from its beginning: it is another one, and
    whatever in it is older than what is in force is refused.
    Raises: BrokerError; PolicyRejected when the newest one does not hold (the one in force goes on, and
    the same is not looked at again).
    """
    last = await bus.last("POLICY", policy(in_force.site))
    if last is not None and last.sequence < in_force.position:
        in_force.position = 0
    if last is None or last.sequence <= in_force.position:
        return False
    has_changed, rejected = False, None
    while page := await bus.history("POLICY", policy(in_force.site), in_force.position + 1, PAGE):
        for stored in page:
            in_force.position, rejected = stored.sequence, None
            try:
                has_changed |= _offer(stored, in_force)
            except PolicyRejected as error:
                rejected = error
    if rejected is not None and not has_changed:
        raise rejected
    return has_changed


def _offer(stored: Stored, in_force: InForce) -> bool:
    try:
        event = decode(stored.data)
    except UNUSABLE as error:
        raise PolicyRejected(f"what stands on {stored.subject} is no policy: {error}") from error
    if isinstance(event, PolicyPublished):
        has_changed = in_force.offer(event.envelope.encode(), from_nanoseconds(stored.time_ns))
    elif isinstance(event, RootPublished):
        has_changed = in_force.offer_root(event.envelope.encode())
    else:
        raise PolicyRejected(f"{stored.subject} carries {type(event).__name__}, not a policy")
    if has_changed:
        _remember(in_force)
    return has_changed


def _remember(in_force: InForce) -> None:
    """A full disk must not keep a newer policy from counting: it is told, and the mark stays behind."""
    try:
        in_force.remember()
    except StorageError as error:
        log.warning("policy.highwater_unsaved", reason=str(error))


async def first(bus: Bus, in_force: InForce, *, patience_seconds: float) -> None:
    """Wait for the first policy that holds, and is none older than this process has followed before.

    Raises: PolicyRejected when none came in time; BrokerError.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_seconds
    reason = "no policy was published: run `plantops policy activate`"
    while True:
        try:
            await refresh(bus, in_force)
        except PolicyRejected as error:
            reason = str(error)
        if in_force.verified is not None:
            rolled_back = in_force.rollback()
            if not rolled_back:
                _remember(in_force)
                return
            reason = rolled_back
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
