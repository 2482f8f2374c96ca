"""Rules on what the gate remembers: lock-outs, outcomes nobody knows, limits on use, and bypasses. Pure.

They are asked of the normal direction only. At execution the gate's generation stands for lock-outs, and
its permit for the limits; a bypass is held against its own time once more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from plantops.events.base import Scalar
from plantops.events.circumstances import Bypass, Circumstances, LimitUse
from plantops.events.command_parts import Finding, Truth
from plantops.model.assets import Operation
from plantops.policy import rights
from plantops.policy.arguments import change_targets, step_of
from plantops.policy.conditions import Sight
from plantops.policy.document import Limit, Permissive, Policy
from plantops.policy.needs import limits_on


def hindrances(asset: str, known: Circumstances) -> Iterator[Finding]:
    """What stands in the way on this asset, whatever is asked; nothing is told where nothing does."""
    for lock in known.lockouts:
        if lock.asset == asset:
            reason = f": {lock.reason}" if lock.reason else ""
            text = f"{lock.owner} locked {asset} out at {lock.since:%H:%M:%S} UTC{reason}"
            yield Finding(rule="lockout", verdict="false", text=text)
    if known.unreconciled:
        names = ", ".join(known.unreconciled[:3])
        text = f"what {names} did to {asset} is not known: reconcile it first"
        yield Finding(rule="unreconciled", verdict="false", text=text)


@dataclass(frozen=True, slots=True)
class Asked:
    """The part of a command that limits look at, and the plant as it is seen."""

    asset: str
    name: str
    operation: Operation
    arguments: Mapping[str, Scalar]
    sight: Sight


def limit_findings(policy: Policy, asked: Asked, known: Circumstances) -> Iterator[Finding]:
    """One finding for each limit that covers the operation; unknown where its use is not told."""
    uses = {use.limit: use for use in known.uses}
    for limit in limits_on(policy, rights.patterns_for(asked.asset, asked.name)):
        use = uses.get(limit.id)
        label = f"limit:{limit.id}"
        if use is None:
            yield Finding(rule=label, verdict="unknown", text="how far it is used is not known")
            continue
        verdict, text = _within(limit, use, asked)
        yield Finding(rule=label, verdict=verdict, text=f"{limit.text}: {text}" if limit.text else text)


def _within(limit: Limit, use: LimitUse, asked: Asked) -> tuple[Truth, str]:
    told: list[tuple[Truth, str]] = []
    if limit.calls is not None:
        text = f"{use.calls} of {limit.calls} calls used in {limit.window_seconds:g} s"
        told.append((_holds(use.calls + 1 <= limit.calls), text))
    if limit.concurrent is not None:
        text = f"{use.concurrent} of {limit.concurrent} under way"
        told.append((_holds(use.concurrent + 1 <= limit.concurrent), text))
    told += [
        _drift(argument, most, use, asked)
        for argument, most in sorted(limit.drift.items())
        if argument in asked.operation.arguments
    ]
    truths = {truth for truth, _text in told}
    worst: Truth = "false" if "false" in truths else "unknown" if "unknown" in truths else "true"
    return worst, "; ".join(text for _truth, text in told) or "bounds nothing here"


def _drift(argument: str, most: float, use: LimitUse, asked: Asked) -> tuple[Truth, str]:
    """Whether the sum of steps stays within `most`; the largest step counts where several tags are set."""
    so_far = use.drift.get(argument, 0.0)
    unit = asked.operation.arguments[argument].unit
    steps: list[float] = []
    for target in change_targets(asked.asset, asked.operation, argument):
        step, text = step_of(target, asked.arguments.get(argument), unit, asked.sight)
        if not isinstance(step, float):
            return "unknown", text
        steps.append(step)
    if not steps or not math.isfinite(so_far):
        return "unknown", f"the drift of {argument} cannot be counted"
    total = so_far + max(steps)
    return _holds(total <= most), f"{argument} would have moved by {total:g} in sum, at most {most:g}"


def bypass_of(
    permissive: Permissive, asset: str, policy: Policy, known: Circumstances, now: datetime
) -> Bypass | None:
    """The bypass under which a permissive does not count now; None where there is none that holds."""
    for each in known.bypasses:
        if (
            (each.permissive, each.asset) == (permissive.id, asset)
            and each.since <= now < each.expires_at
            and is_bypass_allowed(each, policy)
        ):
            return each
    return None


def is_bypass_allowed(bypass: Bypass, policy: Policy) -> bool:
    """Whether its class stands in the policy, covers its permissive and allows so long a time."""
    kind = policy.bypass_classes.get(bypass.bypass_class)
    return (
        kind is not None
        and bypass.permissive in kind.permissives
        and bypass.expires_at - bypass.since <= timedelta(seconds=kind.max_seconds)
    )


def bypassed_text(bypass: Bypass, truth: Truth, text: str) -> str:
    """What a person reads of a permissive that does not count now, and how it would have been judged."""
    return (
        f"bypassed by {bypass.owner} until {bypass.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        f" ({bypass.reason}; instead: {bypass.measure}), would be {truth}: {text}"
    )


def _holds(condition: bool) -> Truth:
    return "true" if condition else "false"
