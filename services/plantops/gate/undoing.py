"""Undo: what a command of the past would take to be taken back, and why it may not be. Pure.

The writes are those that the executor recorded; nothing is worked out anew. Judged is the operation that is
undone, with the values that it would bring back as its arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from plantops.events.base import AssetName, CommandId, Digest, OperationName, Scalar
from plantops.events.command_parts import Intent, Write
from plantops.gate.state import UNKNOWN, Asked, Deed, GateState, View
from plantops.model.check import argument_of, undo_operation
from plantops.model.load import Plant
from plantops.policy.acts import UNDO, is_act
from plantops.policy.writes import Plan
from plantops.runtime.errors import Refused

_NOBODY: Final = CommandId("")


def is_undo(asked: Asked) -> bool:
    """Whether an intent asks to undo another command."""
    return asked.intent.operation == UNDO


def target_of(state: GateState, intent: Intent) -> CommandId:
    """The command that an undo names. Raises: Refused when there is none of that name."""
    text = intent.arguments.get("command")
    found = View(state).find(text) if isinstance(text, str) else None
    if found is None:
        raise Refused(f"no command {text!r} was asked for here", reason="undo")
    return found


def meant(plant: Plant, state: GateState, command: CommandId, asked: Asked) -> Asked:
    """The words that are judged: an undo's are those of what it undoes, with the restored values.

    Raises: Refused when it cannot be undone.
    """
    if not is_undo(asked):
        return asked
    target = target_of(state, asked.intent)
    if asked.signer and asked.intent.arguments.get("command") != target:
        # The executor holds the signature against the command, and knows no handles.
        raise Refused(f"a signed undo names the command by its identity, {target}", reason="undo")
    if reason := why_not(plant.digest, state, target, asset=asked.intent.asset, command=command):
        raise Refused(reason, reason="undo")
    before = View(state).asked(target)
    assert before is not None  # told by why_not
    undo = View(state).deed(target).undo
    intent = msgspec.structs.replace(
        asked.intent, operation=before.intent.operation, arguments=_restored(plant, before.intent, undo)
    )
    return msgspec.structs.replace(asked, intent=intent)


def plan_of_undo(plant: Plant, state: GateState, intent: Intent) -> Plan:
    """What was recorded. Raises: Refused when its tags are not of one source any more."""
    target = target_of(state, intent)
    undo = View(state).deed(target).undo
    sources = {plant.sources.get(write.tag) for write in undo}
    source = sources.pop() if len(sources) == 1 else None
    if source is None:
        raise Refused(f"what {target} wrote is not of one source in this model", reason="undo")
    return Plan(source=source, writes=undo)


def other_way(plant: Plant, asked: Asked) -> Asked | None:
    """The words of the operation that undoes an operation, where the model names one."""
    intent = asked.intent
    found = plant.operation(intent.asset, intent.operation)
    name = undo_operation(found.undo) if found is not None else None
    if name is None:
        return None
    intent = msgspec.structs.replace(intent, operation=OperationName(name), arguments={})
    return msgspec.structs.replace(asked, intent=intent)


def governing(state: GateState, intent: Intent) -> OperationName:
    """The operation whose rules count for an intent: for an undo that of what it undoes."""
    if intent.operation != UNDO:
        return intent.operation
    text = intent.arguments.get("command")
    target = View(state).find(text) if isinstance(text, str) else None
    before = None if target is None else View(state).asked(target)
    return intent.operation if before is None else before.intent.operation


def why_not(
    model: Digest, state: GateState, target: CommandId, *, asset: AssetName, command: CommandId = _NOBODY
) -> str:
    """Why `target` cannot be undone on `asset` by `command` under this model; empty when it can."""
    view = View(state)
    before, course, deed = view.asked(target), view.course(target), view.deed(target)
    name = view.handle(target)
    if before is None:
        return f"no command {target!r} was asked for here"
    if before.intent.asset != asset:
        return f"{name} is of {before.intent.asset}, not of {asset}: ask it there"
    if before.intent.operation == UNDO:
        return f"{name} is an undo itself: ask for the operation that you want"
    if is_act(before.intent.operation):
        return f"{name} is an act, which wrote nothing"
    if course.is_safe:
        return f"{name} went in the safe direction: ask for the operation that you want"
    if reason := _unfit(deed):
        return f"{name} {reason}"
    if deed.model != model:
        return f"the model is another one than when {name} was written"
    # What people asked for stands in its order whatever was folded first; what the gate ordered does not.
    asked = (each for each in reversed(state.on_asset.get(asset, {})) if each not in state.fallbacks)
    ordered = sorted(each for each, known in state.fallbacks.items() if known.asked.intent.asset == asset)
    return _later(view, asked, target, command) or _later(view, ordered, target, command)


def _unfit(deed: Deed) -> str:
    if not deed.final:
        return "is being executed" if deed.claimed else "was not executed"
    if deed.final == UNKNOWN:
        return "has an outcome that nobody recorded: reconcile it, then ask for the operation that you want"
    if not deed.written:
        return "wrote nothing"
    if not deed.undo:
        return "left no way back: its operation has none, its before-values were not read well, or it took \
its steps back by itself"
    return ""


def _later(view: View, others: Iterable[CommandId], target: CommandId, command: CommandId) -> str:
    """What has written to the asset since, or may be writing now."""
    since = view.deed(target).claimed_at
    for other in others:
        if other in (target, command):
            continue
        deed, course = view.deed(other), view.course(other)
        if not deed.final and (deed.claimed or course.phase == "permitted"):
            return f"{view.handle(other)} is still being executed on the asset: wait for its outcome"
        if deed.final and deed.written and deed.ended_at > since:
            asked = view.asked(other)
            name = f"{view.handle(other)} ({asked.intent.operation})" if asked else other
            return f"{name} has written to the asset since"
    return ""


def _restored(plant: Plant, intent: Intent, undo: tuple[Write, ...]) -> dict[str, Scalar]:
    """The arguments with which the operation would have brought about what is restored."""
    found = plant.operation(intent.asset, intent.operation)
    arguments = dict(intent.arguments)
    if found is None or found.undo != "restore":
        return arguments
    values = {write.tag: write.value for write in undo}
    given: dict[str, Scalar] = {}
    for step in found.steps:
        name = argument_of(step.value)
        tag = plant.properties[f"{intent.asset}.{step.property}"].tag
        if name is None or tag not in values:
            continue
        if given.setdefault(name, values[tag]) != values[tag]:
            raise Refused(
                f"what was written for {name} stood at several values before, which no argument can say:"
                " ask for the operation that you want",
                reason="undo",
            )
    return {**arguments, **given}
