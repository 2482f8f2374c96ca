"""What a permit needs, by the reference model: who asked for what, and who confirmed or approved it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from soak import doing
from soak.doing import RISK, SAFE, Look, is_act
from soak.followers import Standing
from soak.memory import Memory, Permitted, Wanted
from soak.words import Ask, Vote

SKEW = 30.0


def of_asking(ask: Ask, meant: Ask, at: datetime, standing: Standing) -> Iterator[str]:
    """Who asked, where, when and for what: true of every direction."""
    if ask.site != "demo":
        yield "site: asked for another site"
    for each in {ask.operation, meant.operation}:
        if not standing.may(ask.actor, ask.asset, each):
            yield f"role: {ask.actor} may not {each}"
    if any(not standing.knows(name) for name in ask.behalf):
        yield "chain: behind it stands a stranger"
    if ask.behalf and ask.actor in standing.people:
        yield "chain: a person asks in another's name"
    if not is_act(meant.operation) and not doing.are_in_range(meant, standing.profile):
        yield f"arguments: {meant.arguments} of {meant.operation}"
    if ask.operation not in SAFE:
        yield from _of_time(ask, at, standing)


def _of_time(ask: Ask, at: datetime, standing: Standing) -> Iterator[str]:
    if not ask.model_agrees:
        yield "model: asked upon another model"
    if not standing.is_valid(at):
        yield "policy: not valid at this time"
    if (ask.issued - at).total_seconds() > SKEW:
        yield "time: issued in the future"
    waits = RISK.get(ask.operation) == "critical"
    if (at - ask.issued).total_seconds() > SKEW and not waits:
        yield "time: issued too long ago"
    if at > ask.expires:
        yield "time: the intent has expired"


def of_normal(  # noqa: PLR0917 - one command in all its parts
    memory: Memory, ask: Ask, meant: Ask, at: datetime, standing: Standing, look: Look
) -> Iterator[str]:
    """What the normal direction needs beside."""
    risk = RISK[meant.operation]
    yield from of_demands(memory, ask, risk, at, standing)
    yield from _of_asset(memory, ask, at)
    yield from _of_limits(memory, meant, at, standing, look)


def of_demands(memory: Memory, ask: Ask, risk: str, at: datetime, standing: Standing) -> Iterator[str]:
    """What the risk demands: a person, a signature, a confirmation, approvals."""
    if ask.mode != "execute":
        yield "mode: only a simulation was asked"
    if risk != "low" and not standing.person_behind(ask):
        yield "person: nobody natural stands behind it"
    if not ask.by and (standing.profile.unsigned != "low" or risk != "low"):
        yield "unsigned: a signature is needed"
    if risk == "high":
        yield from _of_confirming(memory, ask, at, standing)
    if risk == "critical":
        yield from _of_approving(memory, ask, at, standing)


def _of_confirming(memory: Memory, ask: Ask, at: datetime, standing: Standing) -> Iterator[str]:
    simulation, before = memory.simulations.get(ask.confirms), memory.genuine(ask.confirms, standing)
    if simulation is None or not before:
        yield "confirmation: nothing was simulated"
        return
    if ask.actor not in standing.people:
        yield "confirmation: not by a person"
    if all(standing.person_behind(each) != standing.person_behind(ask) for each in before):
        yield "confirmation: by another person"
    if all(each.words != ask.words for each in before):
        yield "confirmation: of other words"
    if ask.simulation != simulation.result:
        yield "confirmation: of another result"
    if at > simulation.at + timedelta(seconds=standing.profile.confirm):
        yield "confirmation: too late"
    if simulation.policy != standing.digest:
        yield "confirmation: the policy changed since"
    if simulation.generation != memory.generations[ask.asset]:
        yield "confirmation: the asset was stopped since"
    if simulation.used_by:
        yield "confirmation: used before"


def _of_approving(memory: Memory, ask: Ask, at: datetime, standing: Standing) -> Iterator[str]:
    wanted = memory.wanted.get(ask.command)
    if wanted is None or ask.command not in memory.simulations:
        yield "approval: nobody was asked to approve what was simulated"
        return
    if at > wanted.at + timedelta(seconds=standing.profile.approval):
        yield "approval: the request ran out"
    if wanted.policy != standing.digest:
        yield "approval: the policy changed since"
    if wanted.generation != memory.generations[ask.asset]:
        yield "approval: the asset was stopped since"
    if wanted.rejected:
        yield "approval: somebody rejected it"
    good = [vote for vote in wanted.counted if vote.expires >= at and is_good(vote, ask, wanted, standing)]
    others = {standing.person(vote.person) for vote in good} - standing.persons_behind(ask)
    needed = 1 if ask.operation == "act-bypass" else standing.profile.approvals
    if len(others) < needed:
        yield f"approval: {len(others)} of {needed} other persons"


def is_good(vote: Vote, ask: Ask, wanted: Wanted, standing: Standing) -> bool:
    """Whether a vote is a signature of a person who may, over these words and this decision."""
    return (
        (vote.command, vote.site, vote.intent) == (ask.command, "demo", ask.digest)
        and vote.whole
        and vote.by == vote.person
        and vote.decision == wanted.decision
        and standing.may_approve(vote.person, is_escalated=wanted.escalated and ask.operation != "act-bypass")
    )


def count_vote(memory: Memory, vote: Vote, at: datetime) -> None:
    """The gate has a vote before it: from here on it counts, or ends the command."""
    wanted, standing = memory.wanted.get(vote.command), memory.gate.standing
    ask = next((each for each in memory.asks[vote.command] if each.digest == vote.intent), None)
    if wanted is None or standing is None or ask is None:
        return
    is_other = standing.person(vote.person) not in standing.persons_behind(ask)
    is_in_time = vote.issued <= vote.expires and at <= vote.expires
    is_waited_for = at <= wanted.at + timedelta(seconds=standing.profile.approval)
    if not (is_other and is_in_time and is_waited_for and is_good(vote, ask, wanted, standing)):
        return
    if vote.verdict == "approve":
        wanted.counted.append(vote)
    elif (at - vote.issued).total_seconds() >= -SKEW:
        wanted.rejected = True


def _of_asset(memory: Memory, ask: Ask, at: datetime) -> Iterator[str]:
    """Nothing else may be under way, unknown or locked on the asset."""
    yield from locked(memory, ask.asset)
    for other in memory.permits.values():
        if other.ask.asset != ask.asset or other.safe or other.command == ask.command:
            continue
        if other.gate_knows_final == "unknown":
            yield f"unknown: nobody knows what {other.command} did"
        elif other.is_under_way(at):
            yield f"in flight: {other.command}"


def locked(memory: Memory, asset: str) -> Iterator[str]:
    """Who has locked the asset out."""
    for lock in memory.locks.values():
        if lock.asset == asset:
            yield f"lock: {lock.person} locked it out"


def _of_limits(memory: Memory, meant: Ask, at: datetime, standing: Standing, look: Look) -> Iterator[str]:
    profile = standing.profile
    normal = [each for each in memory.permits.values() if not each.safe]
    open_ = [each for each in normal if each.is_under_way(at)]
    if len(open_) + 1 > profile.concurrent:
        yield f"limit: {len(open_)} are under way"
    if meant.operation != "Trim":
        return
    since = at - timedelta(seconds=profile.trim_window)
    trims = [each for each in normal if _is_counted(each, meant, since)]
    if len(trims) + 1 > profile.trims:
        yield f"limit: {len(trims)} trims in the window"
    drift = sum(each.moved for each in trims) + doing.distance(meant, look)
    if not drift <= profile.drift + 1e-6:
        yield f"limit: drift {drift}"


def _is_counted(permit: Permitted, meant: Ask, since: datetime) -> bool:
    """A trim of the same asset in the window, unless nobody took it in time."""
    is_trim = (permit.ask.asset, permit.ask.operation) == (meant.asset, "Trim")
    return is_trim and permit.at > since and not (permit.is_expired and not permit.gate_knows_claim)
