"""What a write needs at the moment when the device takes it, by the reference model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from soak import doing
from soak.doing import Look
from soak.followers import Standing
from soak.memory import Memory, Permitted
from soak.permits import locked


@dataclass(frozen=True)
class Deed:
    """Run `run` of an executor gives the device a value, where `before` stands.

    `look` is what was read for this write, `standing` the policy that counts in that process.
    """

    command: str
    tag: str
    value: object
    before: object
    at: datetime
    run: int
    look: Look
    standing: Standing | None


def of_write(memory: Memory, deed: Deed) -> Iterator[str]:
    """The rules that it breaks."""
    permit = memory.permits.get(deed.command)
    if permit is None:
        yield "permit: there is none"
        return
    memory.writes.append((permit.ask.asset, permit.command))
    if not permit.claimed_by:
        yield "claim: none before the write"
    if not permit.audited:
        yield "audit: no record before the write"
    if permit.final:
        yield f"once: it had ended with {permit.final}"
    if _is_next_back(permit, deed):
        permit.taken_back += 1
        yield from _of_asset(memory, permit, deed.at)
        return
    yield from _of_order(permit, deed)
    permit.done.append((deed.tag, deed.value))
    permit.before.append((deed.tag, deed.before))
    if deed.at > permit.until:
        yield "deadline: the permit has run out"
    standing, ask = deed.standing, permit.ask
    # A stop that was begun rightly goes on, whatever the policy says by then.
    counting = [standing, permit.claimed_upon if permit.safe else None]
    if standing is None or not any(
        each and each.may(ask.actor, ask.asset, ask.operation) for each in counting
    ):
        yield "role: the policy of now does not let this actor"
    elif not permit.safe:
        yield from _of_moment(memory, permit, deed, standing)


def _of_order(permit: Permitted, deed: Deed) -> Iterator[str]:
    """Each write once, in order. A stop alone is begun anew by the run that comes after a crash, and goes on
    where the device refuses one of its writes."""
    if permit.run not in (0, deed.run):
        if not permit.safe:
            yield f"once: run {permit.run} had written before run {deed.run}"
        permit.done.clear()
    permit.run = deed.run
    if any(deed.tag == tag for tag, _value in permit.done):
        yield f"once: {deed.tag} was written before"
    expected = doing.writes_of(permit.ask)
    left = expected if permit.safe else expected[len(permit.done) : len(permit.done) + 1]
    if permit.taken_back or not any(doing.is_same(each, (deed.tag, deed.value)) for each in left):
        yield f"writes: {deed.tag} := {deed.value!r} is not what comes next of {expected}"


def _is_next_back(permit: Permitted, deed: Deed) -> bool:
    """Whether it takes back the last step that was not taken back yet; nothing else may."""
    if permit.ask.operation not in doing.COMPENSATED or permit.run != deed.run:
        return False
    left = permit.before[: len(permit.before) - permit.taken_back]
    return bool(left) and doing.is_same(left[-1], (deed.tag, deed.value))


def _of_moment(memory: Memory, permit: Permitted, deed: Deed, standing: Standing) -> Iterator[str]:
    ask, profile = permit.ask, standing.profile
    if not standing.is_valid(deed.at):
        yield "policy: not valid at the write"
    if len(permit.done) == 1 and standing.digest != permit.policy:
        yield "policy: begun under another one than it was permitted under"
    if not doing.are_in_range(ask, profile):
        yield "arguments: out of what the policy of now allows"
    if any((deed.at - seen.at).total_seconds() > doing.WAIT for seen in deed.look.values()):
        yield f"look: what was read is more than {doing.WAIT} s old"
    yield from doing.conditions(ask, deed.look, profile, memory.bypassed(ask.asset, deed.at, profile))
    if permit.is_withdrawn:
        yield "withdrawn: the gate had taken it back"
    yield from _of_asset(memory, permit, deed.at)


def _of_asset(memory: Memory, permit: Permitted, at: datetime) -> Iterator[str]:
    """No stop, no lock and no other command came between."""
    asset = permit.ask.asset
    if permit.generation != memory.generations[asset]:
        yield "generation: the asset was stopped since"
    yield from locked(memory, asset)
    for other in memory.permits.values():
        is_rival = other.ask.asset == asset and not other.safe and other is not permit
        if is_rival and other.claimed_by and not other.final and at <= other.until:
            yield f"in flight: {other.command} is being executed"
