"""How far the policy's limits are used: a fold over what the gate permitted, asked at each judgement. Pure.

A command counts from its permit on, whatever becomes of it; only one that nobody took in time does not.
The safe direction never counts. Kept are the last 31 days and 20,000 permits: what a limit would have to
know from before that cannot be counted, so its use is not told, and that denies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import msgspec

from plantops.events.base import AssetName, CommandId, PrincipalName, Scalar
from plantops.events.circumstances import LimitUse
from plantops.events.command_parts import Decision, ObservedInput
from plantops.events.commands import CommandExpired, CommandPermitted
from plantops.events.quality import is_good
from plantops.gate.state import Asked, GateState, Use, View
from plantops.model.check import is_of_type
from plantops.model.load import Plant
from plantops.policy import rights
from plantops.policy.arguments import change_targets, is_writable_down
from plantops.policy.document import LIMIT_WINDOW, Limit, Policy
from plantops.policy.needs import limits_on

MAX_USES: Final = 20_000


def uses_of(state: GateState, policy: Policy, asked: Asked, now: datetime) -> tuple[LimitUse, ...]:
    """The use of each limit that covers the command, before it, in the order of the policy.

    The window reaches from `now` back; what was permitted exactly its length ago is out. A limit whose use
    cannot be counted is left out: a window beyond what is kept, or a drift of which one step is not known.
    """
    scope = _Scope(policy, asked.intent.asset, _persons_of(policy, asked))
    matching = rights.patterns_for(asked.intent.asset, asked.intent.operation)
    told = (_use(state, scope, limit, now) for limit in limits_on(policy, matching))
    return tuple(use for use in told if use is not None)


@dataclass(frozen=True, slots=True)
class _Scope:
    policy: Policy
    asset: AssetName
    persons: frozenset[str]
    _covered: dict[tuple[str, str, str], bool] = field(default_factory=dict)

    def holds(self, limit: Limit, asset: str, operation: str, persons: Callable[[], frozenset[str]]) -> bool:
        """Whether a limit counts this together with what is asked: for each person behind both of them,
        since an agent may name whom it likes and does not get more turns by that.

        Asked of up to 20,000 permits for one judgement, of which few differ in asset and operation.
        """
        if limit.per == "asset" and asset != self.asset:
            return False
        place = (limit.id, asset, operation)
        covered = self._covered.get(place)
        if covered is None:
            covered = rights.covers(limit.applies, rights.patterns_for(asset, operation))
            self._covered[place] = covered
        return covered and (limit.per != "person" or not persons().isdisjoint(self.persons))


def _use(state: GateState, scope: _Scope, limit: Limit, now: datetime) -> LimitUse | None:
    concurrent = sum(1 for _command in _under_way(state, scope, limit, now))
    if limit.calls is None and not limit.drift:
        return LimitUse(limit=limit.id, concurrent=concurrent)
    window = timedelta(seconds=limit.window_seconds)
    if state.uses_from is not None and state.uses_from > now - window:
        return None
    counted = [
        use
        for use in _counted(state, now - window)
        if scope.holds(limit, use.asset, use.operation, partial(_behind, scope.policy, use))
    ]
    drift: dict[str, float] = {}
    for argument in sorted(limit.drift):
        if any(argument in use.unknown for use in counted):
            return None
        drift[argument] = math.fsum(use.drift.get(argument, 0.0) for use in counted)
    return LimitUse(limit=limit.id, calls=len(counted), concurrent=concurrent, drift=drift)


def _behind(policy: Policy, use: Use) -> frozenset[str]:
    return rights.persons_of(policy, "", use.chain) | {use.person}


def _counted(state: GateState, since: datetime) -> Iterator[Use]:
    """A claim may have come after all: then it counts again."""
    view = View(state)
    for use in state.uses.values():
        if use.at > since and not (use.expired and not view.deed(use.command).claimed):
            yield use


def _under_way(state: GateState, scope: _Scope, limit: Limit, now: datetime) -> Iterator[CommandId]:
    """Permitted, in the normal direction, and not over: an executor is at it, or may still take it."""
    if limit.concurrent is None:
        return
    view = View(state)
    assets = [scope.asset] if limit.per == "asset" else list(state.standing)
    for command in (each for asset in assets for each in view.open_on(asset)):
        asked, permit = view.asked(command), view.course(command).permit
        if asked is None or permit is None or not (view.deed(command).claimed or now <= permit.not_after):
            continue
        if scope.holds(limit, permit.asset, permit.operation, partial(_persons_of, scope.policy, asked)):
            yield command


def _persons_of(policy: Policy, asked: Asked) -> frozenset[str]:
    intent = asked.intent
    named = _counted_for(rights.person_of(policy, intent.actor, intent.on_behalf_of), intent.actor)
    return rights.persons_of(policy, intent.actor, intent.on_behalf_of) | {named}


def _counted_for(person: str, actor: str) -> PrincipalName:
    """Who is nobody's instrument is counted by its own name."""
    return PrincipalName(person or actor)


def record_permit(state: GateState, plant: Plant, event: CommandPermitted) -> None:
    """Count a permit, and forget what no limit may look at any more."""
    decision = event.decision
    # What the log holds may give a time without a zone, and one at the end of all times.
    now = decision.now if decision.now.tzinfo else decision.now.replace(tzinfo=UTC)
    drift, unknown = _drift(plant, decision)
    state.uses[event.command] = Use(
        command=event.command,
        at=now,
        asset=decision.asset,
        operation=decision.operation,
        person=_counted_for(decision.person, decision.actor),
        drift=drift,
        unknown=unknown,
        chain=(event.permit.actor, *event.permit.on_behalf_of),
    )
    while state.uses:
        oldest = next(iter(state.uses.values()))
        if len(state.uses) <= MAX_USES and now - oldest.at <= LIMIT_WINDOW:
            return
        del state.uses[oldest.command]
        state.uses_from = max(oldest.at, state.uses_from or oldest.at)


def record_expiry(state: GateState, event: CommandExpired) -> None:
    """Nobody took it: it does not count."""
    use = state.uses.get(event.command)
    if use is not None:
        state.uses[event.command] = msgspec.structs.replace(use, expired=True)


def _drift(plant: Plant, decision: Decision) -> tuple[dict[str, float], tuple[str, ...]]:
    """How far each argument moves what stood in the device when it was decided, the largest step where
    several tags are set; and the arguments of which that cannot be told."""
    operation = plant.operation(decision.asset, decision.operation)
    if operation is None:
        return {}, tuple(sorted(decision.arguments))
    standing = {one.tag: one for one in decision.inputs}
    drift: dict[str, float] = {}
    for name in operation.arguments:
        tags = [plant.tag_of(target) for target in change_targets(decision.asset, operation, name)]
        value = decision.arguments.get(name)
        steps = [_step(value, None if tag is None else standing.get(tag)) for tag in tags]
        known = [step for step in steps if step is not None]
        if steps and len(known) == len(steps):
            drift[name] = max(known)
    return drift, tuple(sorted(name for name in operation.arguments if name not in drift))


def _step(value: Scalar | None, standing: ObservedInput | None) -> float | None:
    if standing is None or not is_good(standing.quality):
        return None
    if not _are_numbers((value, standing.value)):
        return None
    assert isinstance(value, int | float)  # told just before
    assert isinstance(standing.value, int | float)
    step = float(abs(value - standing.value))
    return step if math.isfinite(step) else None  # two finite ends may be further apart than a float tells


def _are_numbers(values: Iterable[Scalar | None]) -> bool:
    return all(
        value is not None and is_of_type(value, "number") and is_writable_down(value) for value in values
    )
