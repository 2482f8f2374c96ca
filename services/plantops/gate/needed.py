"""What must be observed to judge an intent. Pure."""

from __future__ import annotations

from plantops.events.base import OperationName, TagName
from plantops.events.command_parts import Intent
from plantops.gate.state import GateState, View
from plantops.gate.unchanged import written_tags
from plantops.model.check import undo_operation
from plantops.model.load import Plant
from plantops.policy.acts import UNDO
from plantops.policy.document import Policy
from plantops.policy.judge import inputs_needed


def tags_needed(
    state: GateState, plant: Plant, policy: Policy, intent: Intent, *, is_held_against: bool
) -> tuple[TagName, ...]:
    """The inputs of its rules, sorted; for an undo those of what it undoes, and of the operation that does.

    `is_held_against` a simulation: also what stands in the tags to be written.
    """
    operations, written = _undone(state, plant, intent) if intent.operation == UNDO else _own(plant, intent)
    needed = {tag for each in operations for tag in inputs_needed(policy, plant, intent.asset, each)}
    return tuple(sorted(needed.union(written if is_held_against else ())))


def _own(plant: Plant, intent: Intent) -> tuple[tuple[OperationName, ...], tuple[TagName, ...]]:
    return (intent.operation,), written_tags(plant, intent)


def _undone(
    state: GateState, plant: Plant, intent: Intent
) -> tuple[tuple[OperationName, ...], tuple[TagName, ...]]:
    view, text = View(state), intent.arguments.get("command")
    target = view.find(text) if isinstance(text, str) else None
    before = None if target is None else view.asked(target)
    if target is None or before is None or before.intent.asset != intent.asset:
        return (), ()
    found = plant.operation(before.intent.asset, before.intent.operation)
    other = undo_operation(found.undo) if found is not None else None
    operations = (before.intent.operation, *(() if other is None else (OperationName(other),)))
    tags = tuple(write.tag for write in view.deed(target).undo if write.tag in plant.sources)
    return operations, tags
