"""Steps of the plant, of time and of the policy office."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import msgspec

from plantops.events.base import CommandId, Digest
from plantops.events.envelope import Message
from plantops.events.operations import PolicyPublished, TimerFired
from plantops.policy.document import policy_digest
from soak.ground import PROFILES, SITE, document, sealed
from soak.picking import pick
from soak.words import Offer
from soak.world import World

GRACE: Final = timedelta(milliseconds=500)


async def plant(world: World, tag: str, value: Any, quality: int) -> None:
    real = math.nan if value == "nan" else value
    world.truth[tag] = replace(world.truth[tag], value=real, quality=quality)


async def feed(world: World, source: str, is_stopped: bool) -> None:
    """The source's frames stop, or come again."""
    world.feed_stopped[source] = world.now if is_stopped else None


async def wait(world: World, seconds: float) -> None:
    await world.clock.advance(seconds)


async def until(world: World, which: int, offset: float) -> None:
    """To just before, at, or just after a deadline."""
    ahead = sorted(due for due in world.deadlines() if due > world.now)
    due = pick(ahead, which)
    if due is not None:
        seconds = (due - world.now).total_seconds() + offset
        if 0 < seconds < 700:
            await world.clock.advance(seconds)


async def ring(world: World) -> None:
    """The timer tells what is due."""
    for due in list(world.ringing.open.values()):
        if due.due + GRACE <= world.now:
            await _fire(world, due.command, due.purpose, "timer")


async def false_ring(world: World, which: int, purpose: str, signer: str) -> None:
    """A word of the timer that is early or wrong, or is not the timer's at all."""
    permit = pick(list(world.model.asks), which)
    if permit is not None:
        await _fire(world, permit, purpose, signer)


async def _fire(world: World, command: str, purpose: str, signer: str) -> None:
    event = TimerFired(site=SITE, command=CommandId(command), due=world.now, purpose=purpose)  # type: ignore[arg-type]
    await world.publish("TIMERS", f"timer.{SITE}.gate", event, signer, "timer")


async def policy(world: World, name: str, flaw: str) -> None:
    profile = PROFILES[name]
    now = world.now
    standing = world.model.gate.standing
    highest = max((each.revision for each in world.offers.values()), default=0)
    if flaw == "again" and world.offers:
        sequence = pick(list(world.offers), highest * 7 + world.step)
        stored = world.broker.stream("POLICY").messages[sequence]
        world.offers[world.broker.stream("POLICY").last + 1] = world.offers[sequence]
        await world.store("POLICY", Message(stored.subject, stored.data, stored.headers))
        return
    before = None if standing is None else standing.offer
    revision = 1 if before is None else before.revision + (0 if flaw == "same revision" else 1)
    if flaw == "older":
        revision = max(1, revision - 2)
    if flaw == "jump":
        revision += 2000
    previous = "" if before is None else before.digest
    if flaw == "previous":
        previous = "0" * 64
    at = now
    if flaw == "expired":
        at = now - timedelta(seconds=profile.ends_in + 1)
    if flaw == "not yet":
        at = now - timedelta(seconds=profile.starts_in) + timedelta(seconds=30)
    made = document(
        profile, revision=revision, previous=previous, at=at, site="other" if flaw == "site" else SITE
    )
    signers = ("alice",) if flaw == "signer" else ("root",)
    text = sealed(made, *signers)
    if flaw == "unsigned":
        text = text.replace(text[text.index('"sig":"') + 7 : text.index('"sig":"') + 15], "AAAAAAAA")
    digest = policy_digest(msgspec.json.encode(made))
    world.offers[world.broker.stream("POLICY").last + 1] = Offer(
        profile=profile,
        digest=digest,
        site=made.audience,
        revision=revision,
        previous=previous,
        starts=made.not_before,
        ends=made.expires,
        signers=frozenset(signers),
        whole=flaw != "unsigned",
    )
    event = PolicyPublished(site=SITE, revision=revision, digest=Digest(digest), envelope=text)
    await world.publish("POLICY", f"policy.{SITE}", event, "root", "office")
