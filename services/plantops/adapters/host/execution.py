"""What an executor decides, without doing it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import msgspec

from plantops.adapters.host.ports import Rules, same
from plantops.events.base import Scalar, SiteName, TagName, from_nanoseconds
from plantops.events.command_parts import Decision, ObservedInput, Permit, StepResult, Write
from plantops.events.frames import Sample
from plantops.events.quality import is_good, quality_name
from plantops.runtime.errors import Refused


def permit_problem(permit: Permit, rules: Rules, *, site: SiteName, is_safe: bool, now: datetime) -> str:
    """Why a permit of the gate must not be carried out here; empty when nothing speaks against it.

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
    return _writes_problem(permit, rules)


def _writes_problem(permit: Permit, rules: Rules) -> str:
    try:
        expected = rules.writes(permit)
    except Refused as error:
        return error.message
    if not expected:
        return f"{permit.asset}.{permit.operation} writes nothing"
    is_equal = len(expected) == len(permit.writes) and all(map(_same_write, expected, permit.writes))
    return "" if is_equal else "the permit's writes are not those of the model"


def _same_write(left: Write, right: Write) -> bool:
    return left == right and same(left.value, right.value)


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
