"""What each operation does and needs, in the reference model's own words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeAlias

from soak.ground import PUMPS, VALVE, Profile
from soak.words import Ask, Seen

Look: TypeAlias = Mapping[str, Seen]
"""By tag name."""

WAIT: Final = 8.0
"""How old what was read may be at the write, in seconds: 3 for the answer, 5 until its turn."""
COMPENSATED: Final = frozenset({"Start"})
SAFE: Final = frozenset({"Stop", "Close"})
SAFE_OF: Final = {**dict.fromkeys(PUMPS, "Stop"), VALVE: "Close"}
RISK: Final = {"SetSpeed": "high", "Reset": "critical", "Start": "medium", "Trim": "low", "Open": "low"} | {
    "act-bypass": "critical"
}
ACTS: Final[Mapping[str, frozenset[str]]] = {
    "operator": frozenset({"act-lock", "act-unlock", "act-cancel", "act-undo", "act-reconcile"}),
    "supervisor": frozenset({"act-lock", "act-unlock"}),
    "maintainer": frozenset({"act-bypass", "act-end-bypass", "act-unlock"}),
}


def is_act(operation: str) -> bool:
    """Whether it is asked of the gate itself."""
    return operation.startswith("act-")


def are_in_range(ask: Ask, profile: Profile) -> bool:
    """Exactly the arguments that the operation has, each of its type and within its bounds."""
    given = dict(ask.arguments)
    wanted: dict[str, tuple[float, float]] = {}
    if ask.asset in PUMPS and ask.operation in ("SetSpeed", "Trim"):
        wanted = {"RPM": (0.0, min(3600.0, profile.rpm_high))}
    elif ask.asset == VALVE and ask.operation == "Open":
        wanted = {"PERCENT": (0.0, 100.0)}
    elif ask.operation not in _KNOWN.get("pump" if ask.asset in PUMPS else ask.asset, ()):
        return False
    return given.keys() == wanted.keys() and all(
        is_number(value) and wanted[name][0] <= value <= wanted[name][1]  # type: ignore[operator]
        for name, value in given.items()
    )


_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "pump": frozenset({"SetSpeed", "Trim", "Start", "Reset", "Stop"}),
    VALVE: frozenset({"Open", "Close"}),
}


def writes_of(ask: Ask) -> list[tuple[str, object]]:
    """What reaches the device, in this order."""
    asset = ask.asset
    match ask.operation:
        case "SetSpeed" | "Trim":
            return [(f"{asset}.setpoint", ask.argument("RPM"))]
        case "Start":
            return [(f"{asset}.setpoint", 600.0), (f"{asset}.run", True)]
        case "Reset":
            return [(f"{asset}.reset", True)]
        case "Stop":
            return [(f"{asset}.run", False), (f"{asset}.setpoint", 0.0)]
        case "Open":
            return [(f"{asset}.command", ask.argument("PERCENT"))]
        case "Close":
            return [(f"{asset}.command", 0.0)]
    return []


def is_same(left: tuple[str, object], right: tuple[str, object]) -> bool:
    """The same value on the same tag; a truth value is no number."""
    return left == right and isinstance(left[1], bool) == isinstance(right[1], bool)


def conditions(ask: Ask, look: Look, profile: Profile, bypassed: frozenset[str]) -> list[str]:
    """Which conditions on the plant are not known to hold, by what was seen just before."""
    asset, broken = ask.asset, []
    if ask.asset in PUMPS:
        if _good(look, f"{asset}.local", 5.0) is not False:
            broken.append("mode: not known to stand at remote")
        temperature = _good_number(look, f"{asset}.temperature", 5.0)
        if f"cool-{asset}" not in bypassed and not (temperature is not None and temperature <= profile.hot):
            broken.append(f"permissive: temperature {look.get(f'{asset}.temperature')}")
    if ask.operation == "SetSpeed":
        before, wanted = _good_number(look, f"{asset}.setpoint", 5.0), ask.argument("RPM")
        if before is None or not is_number(wanted) or abs(wanted - before) > profile.max_change:  # type: ignore[operator]
            broken.append(f"step: from {before} to {wanted}")
    if ask.operation == "Start":
        level = _good_number(look, f"{VALVE}.level", profile.level_age)
        if level is None or level < profile.level_low:
            broken.append(f"permissive: level {look.get(f'{VALVE}.level')}")
    if ask.operation == "Open":
        temperature = _good_number(look, "pump-1.temperature", 5.0)
        if temperature is None or temperature >= profile.hot:
            broken.append(f"permissive: {look.get('pump-1.temperature')}")
    return broken


def distance(ask: Ask, look: Look) -> float:
    """How far a trim moves the set-point from what stood there; infinite where that is not known."""
    if ask.operation != "Trim":
        return 0.0
    before, wanted = _good_number(look, f"{ask.asset}.setpoint", math.inf), ask.argument("RPM")
    if before is None or not is_number(wanted):
        return math.inf
    assert isinstance(wanted, int | float)
    return abs(wanted - before)


def _good(look: Look, tag: str, max_age: float) -> object:
    """The value, where it is good (OPC 192 up, and not forced by hand), fresh and there."""
    seen = look.get(tag)
    if seen is None or seen.quality < 192 or seen.quality // 4 == 54:
        return None
    return seen.value if seen.age is not None and 0 <= seen.age <= max_age else None


def _good_number(look: Look, tag: str, max_age: float) -> float | None:
    value = _good(look, tag, max_age)
    return value if is_number(value) else None  # type: ignore[return-value]


def is_number(value: object) -> bool:
    """A finite number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
