"""Arguments are read by the schema of whatever operation is meant: units, thousands, enumerations."""

from __future__ import annotations

from typing import Any

import pytest

from agent.models.catalogue_demo import number, operation
from agent.models.test_rules_phrases import calls_of

LITRES = operation("tank-1", "SetInflow", "Set the inflow", FLOW=number(0, 5000, "l/h"))
HEAT = operation("oven-1", "SetTemperature", "Set the temperature", TEMP=number(-50, 400, "Cel"))
MODE = operation("oven-1", "SetMode", "Set the mode", MODE={"type": "string", "enum": ["auto", "manual"]})
RAMP = operation("oven-1", "Ramp", "Ramp the oven", RATE=number(0, 100, "%"), TEMP=number(0, 400, "Cel"))


@pytest.mark.parametrize(
    ("tool", "text", "expected"),
    [
        (LITRES, "set inflow to 1.5 m3/h", {"FLOW": 1500}),
        (LITRES, "set inflow to 20 l/min", {"FLOW": 1200}),
        (LITRES, "set inflow to 1,200 l/h", None),
        (LITRES, "set inflow to 1.200 l/h", None),
        (LITRES, "set inflow to 1200,5", {"FLOW": 1200.5}),
        (LITRES, "set inflow to 3 bar", None),
        (HEAT, "set temperature to 90 °C", {"TEMP": 90}),
        (HEAT, "set temperature to 90°C", {"TEMP": 90}),
        (HEAT, "set temperature to 90 degrees celsius", {"TEMP": 90}),
        (HEAT, "set temperature to 212 °F", {"TEMP": 100}),
        (HEAT, "set temperature to 300 kelvin", {"TEMP": 26.85}),
        (HEAT, "set temperature to 300K", None),
        (HEAT, "set temperature to -20", {"TEMP": -20}),
        (MODE, "set mode to auto", {"MODE": "auto"}),
        (MODE, "set mode to magic", None),
        (MODE, "set mode", None),
        (RAMP, "ramp the oven to 200 °C at 5 %", {"TEMP": 200, "RATE": 5}),
        (RAMP, "ramp TEMP=200 RATE=5", {"TEMP": 200, "RATE": 5}),
        (RAMP, "ramp the oven 200 5", None),
    ],
)
def test_arguments_follow_the_schema_of_any_operation(tool: Any, text: str, expected: Any) -> None:
    assert [arguments for _, arguments in calls_of(text, (tool,))] == ([] if expected is None else [expected])
