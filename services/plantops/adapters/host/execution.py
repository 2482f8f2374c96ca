"""What an executor decides, without doing it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import msgspec

from plantops.adapters.host.ports import Rules, same
from plantops.events.base import Digest, Scalar, SiteName, TagName, from_nanoseconds
from plantops.events.command_parts import Decision, Invocation, ObservedInput, Permit, StepResult, Write
from plantops.events.frames import Sample
from plantops.events.quality import is_good, quality_name
from plantops.policy.writes import Plan
from plantops.runtime.errors import Refused


def permit_problem(
    permit: Permit, rules: Rules, *, site: SiteName, is_safe: bool, is_rehearsal: bool, now: datetime
) -> str:
    """Why a permit of the gate must not be carried out here; empty when nothing speaks against it.

    Whether an undo's writes are those recorded is not asked here (`undoing`). A rehearsal may also be that
    of the operation's simulator.

    In the safe direction any policy counts that this process has verified: a stop does not wait until
    both sides have read the newest revision.
    """
    if permit.site != site:
        return f"the permit is for site {permit.site!r}, this is {site!r}"
    if not rules.policy:
        return "no verified policy is in force here"
    if permit.policy != rules.policy and not (is_safe and rules.is_known(permit.policy)):
        return f"the permit stands on policy {permit.policy[:12]}, in force here is {rules.policy[:12]}"
    if permit.model != rules.model:
        return f"the permit stands on model {permit.model[:12]}, in force here is {rules.model[:12]}"
    if permit.safe_direction != is_safe:
        return "the permit and its event disagree about the safe direction"
    if is_safe and not rules.is_safe(permit.asset, permit.operation):
        return f"{permit.asset}.{permit.operation} is not safe-direction by the policy in force here"
    if now > permit.not_after:
        return f"the permit ran out at {permit.not_after:%H:%M:%S} UTC"
    return rules.bypass_problem(permit) or _plan_problem(permit, rules, is_rehearsal=is_rehearsal)


def _plan_problem(permit: Permit, rules: Rules, *, is_rehearsal: bool) -> str:
    if permit.undoes:
        if permit.invocation is not None or permit.compensates or not permit.writes or permit.safe_direction:
            return "an undo writes what was recorded and nothing else"
        return ""
    try:
        plans = [rules.plan(permit), rules.simulator(permit) if is_rehearsal else None]
    except Refused as error:
        return error.message
    if not any(plan is not None and _is_planned(permit, plan) for plan in plans):
        return "the permit's writes or invocation are not those of the model"
    if permit.compensates != rules.compensates(permit):
        return "the permit and the model disagree about taking steps back"
    return ""


def _is_planned(permit: Permit, plan: Plan) -> bool:
    return (
        plan.source == permit.source
        and same_writes(plan.writes, permit.writes)
        and _same_invocation(plan.invocation, permit.invocation)
    )


def same_writes(left: Sequence[Write], right: Sequence[Write]) -> bool:
    """Equal one by one, in this order."""
    return len(left) == len(right) and all(map(_same_write, left, right))


def _same_write(left: Write, right: Write) -> bool:
    return left == right and same(left.value, right.value)


def _same_invocation(left: Invocation | None, right: Invocation | None) -> bool:
    if left is None or right is None:
        return left is right
    return left == right and all(same(value, right.arguments[name]) for name, value in left.arguments.items())


def is_reached(wanted: Scalar, found: ObservedInput, tolerance: float) -> bool:
    """Whether a value read well equals the wanted one within the tolerance; what is not known does not."""
    value = found.value
    if value is None or not is_good(found.quality):
        return False
    numbers = not isinstance(wanted, (bool, str)) and not isinstance(value, (bool, str))
    if not numbers:
        return same(wanted, value)
    assert not isinstance(wanted, str)
    assert not isinstance(value, str)
    return abs(value - wanted) <= tolerance


def unreached(write: Write, found: ObservedInput, tag: TagName) -> str:
    """Why a write does not count as proved, for people."""
    if found.value is None or not is_good(found.quality):
        return f"{tag} cannot be read back: {quality_name(found.quality)}"
    return f"{tag} reads {found.value!r}, not {write.value!r} within {write.tolerance:g}"


def observed(tag: TagName, sample: Sample) -> ObservedInput:
    """A value read from the device just now. A non-finite one has no JSON form and is told as none."""
    value, note = sample.value, ""
    if isinstance(value, float) and not math.isfinite(value):
        value, note = None, f"not finite: {value}"
    return ObservedInput(
        tag=tag,
        value=value,
        quality=sample.quality,
        age_seconds=0.0,
        source_time=None if sample.source_time is None else from_nanoseconds(sample.source_time),
        note=note,
    )


def aged(one: ObservedInput, seconds: float) -> ObservedInput:
    """An input as it is so much later; a span below zero makes nothing younger."""
    if one.age_seconds is None or seconds <= 0:
        return one
    return msgspec.structs.replace(one, age_seconds=one.age_seconds + seconds)


# A write may wait for its turn at the device while the plant goes on: what was read is that old at most then.
MAX_WAIT_SECONDS = 5.0


def outdated(policy: Digest, rules: Rules, waited_seconds: float) -> str:
    """Why a judgement carries no write any more, asked with the device in hand; empty when it does.

    `policy` must be in force still: the permit's until something was written, then that of the judgement.
    """
    if policy != rules.policy:
        return "another policy came into force meanwhile"
    if not waited_seconds <= MAX_WAIT_SECONDS:
        return (
            f"it was judged {waited_seconds:.1f} s ago, at most {MAX_WAIT_SECONDS:g} s may pass to the write"
        )
    return ""


def first_reason(decision: Decision) -> str:
    """The first rule that did not hold, in words."""
    failed = next((finding for finding in decision.findings if finding.verdict != "true"), None)
    return f"{failed.rule}: {failed.text}" if failed else "denied without a finding"


def is_proved(step: StepResult) -> bool:
    """Whether a step was written and proved as its write demands."""
    return step.written_at is not None and (step.verified or step.write.verify == "none")


def first_problem(steps: Sequence[StepResult]) -> str:
    """What went wrong first; empty when every step is proved."""
    return next((step.problem or "not verified" for step in steps if not is_proved(step)), "")
