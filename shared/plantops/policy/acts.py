"""Acts: what can be asked of the gate itself, on any asset, through the same door as operations.

An act is an intent whose operation has one of these names; no operation of a model may begin with `act-`.
A role covers an act only by its exact name (`pump-001.act-lock`, `*.act-lock`): a wildcard over operations
gives no right to bypass anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from plantops.events.command_parts import Risk
from plantops.model.assets import Argument

PREFIX: Final = "act-"
LOCK: Final = "act-lock"
UNLOCK: Final = "act-unlock"
BYPASS: Final = "act-bypass"
END_BYPASS: Final = "act-end-bypass"
CANCEL: Final = "act-cancel"
UNDO: Final = "act-undo"
RECONCILE: Final = "act-reconcile"
# In whose name those commands are kept apart that the gate orders by itself; no principal may be called so.
FALLBACK: Final = "gate-fallback"


@dataclass(frozen=True, slots=True)
class Act:
    """What an act takes, and its least risk. `undo` has the risk of the operation that it undoes."""

    text: str
    arguments: Mapping[str, Argument]
    risk: Risk = "low"


def _text(description: str) -> Argument:
    return Argument(type="string", description=description)


_COMMAND: Final = {"command": _text("identity or handle (c12) of the command")}

ACTS: Final[Mapping[str, Act]] = MappingProxyType(
    {
        LOCK: Act("lock the asset out with one's own lock", {"reason": _text("why")}),
        UNLOCK: Act("take a lock off: one's own, or with a second person", {"lock": _text("which lock")}),
        BYPASS: Act(
            "let a permissive not count for a time",
            {
                "permissive": _text("id of the permissive"),
                "seconds": Argument(type="number", unit="s", low=1, description="how long"),
                "reason": _text("why"),
                "measure": _text("what makes up for it meanwhile"),
            },
            risk="critical",
        ),
        END_BYPASS: Act("end a bypass before its time", {"bypass": _text("which bypass")}),
        CANCEL: Act("end an open command", _COMMAND),
        UNDO: Act("write back what stood there before a command", _COMMAND),
        RECONCILE: Act("read the device and close a command whose outcome is unknown", _COMMAND),
    }
)


def is_act(operation: str) -> bool:
    """Whether the name can only be an act's, known or not."""
    return operation.startswith(PREFIX)
