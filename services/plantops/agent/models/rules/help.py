"""What is possible here, for who was not understood: operations with their ranges, and what can be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from plantops.agent.models.rules.catalogue import Operation, operations_of
from plantops.events.tooling import ToolListed

_MOST: Final = 20
_READS: Final = (
    ("twin-get", "what is the <property> of <asset>? status"),
    ("tag-history", "history of <property> over the last 2 hours"),
    ("alarm-list", "show alarms"),
    ("source-health", "which sources are up?"),
    ("command-status", "why was it denied? what became of c12?"),
    ("approvals-list", "what waits for approval?"),
    ("holds-list", "what is locked or bypassed?"),
    ("policy-explain", "can I <operation>?"),
)


def help_told(tools: Sequence[ToolListed]) -> str:
    """A few lines for people."""
    operations = operations_of(tools)
    names = {tool.name for tool in tools}
    lines = ["Operations that you can ask for:" if operations else "No operation is known to me."]
    lines += [f"- {_example(one)}" for one in operations[:_MOST]]
    if len(operations) > _MOST:
        lines.append(f"- and {len(operations) - _MOST} more")
    asked = [example for tool, example in _READS if tool in names]
    if asked:
        lines += ["You can ask:", *(f"- {example}" for example in asked)]
    return "\n".join(lines)


def _example(operation: Operation) -> str:
    values = ", ".join(
        f"{one.name}: {one.range_text()}"
        if one.is_number
        else f"{one.name}: {_choices(one.choices, one.kind)}"
        for one in operation.arguments
    )
    return f"{operation.title}{f' ({values})' if values else ''}"


def _choices(choices: tuple[object, ...], kind: str) -> str:
    return " or ".join(map(str, choices)) if choices else kind
