"""What the delegate can do with its pump, and what it says beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = bool | int | float | str
MAX_SECONDS = 60.0
_LONG_SECONDS = 30.0
_LITRES_A_SECOND = 2.5


class Impossible(Exception):
    """This was asked of no such operation, or with arguments that it does not take."""


@dataclass
class DelegatePump:
    """A pump that flushes and stops; `started` counts what it really did."""

    state: str = "stopped"
    started: list[str] = field(default_factory=list)

    def foresee(self, operation: str, arguments: Mapping[str, Value]) -> dict[str, Value]:
        """What `operate` would do; nothing moves. Raises: Impossible."""
        seconds = _checked(operation, arguments)
        warnings = []
        if operation == "Flush" and seconds > _LONG_SECONDS:
            warnings.append("the tank may run empty")
        if operation == "Stop" and self.state == "stopped":
            warnings.append("the pump stands already")
        return {
            "predictedState": "flushed" if operation == "Flush" else "stopped",
            "estimatedTime": seconds,
            "warnings": "\n".join(warnings),
        }

    def operate(self, operation: str, arguments: Mapping[str, Value]) -> dict[str, Value]:
        """Do it. Raises: Impossible, before anything moved."""
        seconds = _checked(operation, arguments)
        self.started.append(operation)
        self.state = "flushed" if operation == "Flush" else "stopped"
        return {"State": self.state, "Litres": seconds * _LITRES_A_SECOND, "Runs": len(self.started)}


def _checked(operation: str, arguments: Mapping[str, Value]) -> float:
    if operation == "Stop" and not arguments:
        return 0.0
    if operation != "Flush":
        raise Impossible(f"no operation {operation!r} with these arguments: there are Flush and Stop")
    seconds = arguments.get("Seconds")
    if set(arguments) != {"Seconds"} or not isinstance(seconds, float) or not 0 < seconds <= MAX_SECONDS:
        raise Impossible(f"Flush takes Seconds, a number up to {MAX_SECONDS:g}")
    return seconds
