"""The OPC UA address space of the simulated plant as data."""

from dataclasses import dataclass
from enum import StrEnum

from plantops.simulation.state import Command

NAMESPACE = "urn:plantops:simulation"
APPLICATION_URI = "urn:plantops:simulation:server"
COUNTERS = "Counters"
# OPC UA Part 8, 5.6.3: unit ids are made from the UNECE common codes of this namespace.
UNIT_NAMESPACE = "http://www.opcfoundation.org/UA/units/un/cefact"


class DataType(StrEnum):
    """The built-in types that the plant uses."""

    DOUBLE = "Double"
    BOOLEAN = "Boolean"
    STRING = "String"
    UINT32 = "UInt32"


@dataclass(frozen=True, slots=True)
class Unit:
    """A UNECE Recommendation 20 unit."""

    code: str
    symbol: str

    @property
    def unit_id(self) -> int:
        return int.from_bytes(self.code.encode("ascii"), "big")


RPM = Unit("RPM", "r/min")
CELSIUS = Unit("CEL", "°C")
PERCENT = Unit("P1", "%")
LITRES_PER_MINUTE = Unit("L2", "l/min")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable, NodeId `ns=<plant>;s=<thing>.<name>`; writable where it has a command."""

    thing: str
    name: str
    type: DataType
    value: str
    unit: Unit | None = None
    low: float = 0.0
    high: float = 0.0
    command: Command | None = None

    @property
    def path(self) -> str:
        return f"{self.thing}.{self.name}"


VARIABLES = (
    Variable("Pump001", "SpeedSetpoint", DataType.DOUBLE, "speed_setpoint", RPM, 0.0, 3600.0, Command.SPEED),
    Variable("Pump001", "Run", DataType.BOOLEAN, "run", command=Command.RUN),
    Variable("Pump001", "ResetFault", DataType.BOOLEAN, "reset", command=Command.RESET),
    Variable("Pump001", "Speed", DataType.DOUBLE, "speed", RPM, 0.0, 3600.0),
    Variable("Pump001", "MotorTemperature", DataType.DOUBLE, "temperature", CELSIUS, -20.0, 150.0),
    Variable("Pump001", "Flow", DataType.DOUBLE, "flow", LITRES_PER_MINUTE, 0.0, 300.0),
    Variable("Pump001", "Running", DataType.BOOLEAN, "running"),
    Variable("Pump001", "Fault", DataType.BOOLEAN, "fault"),
    Variable("Pump001", "LocalMode", DataType.BOOLEAN, "local_mode"),
    Variable("Pump001", "Maintenance", DataType.BOOLEAN, "maintenance"),
    Variable("Pump001", "PlcRunning", DataType.BOOLEAN, "plc_running"),
    Variable("Pump001", "Name", DataType.STRING, "device_name"),
    Variable("Pump001", "Heartbeat", DataType.UINT32, "heartbeat"),
    Variable("Valve001", "Command", DataType.DOUBLE, "valve_command", PERCENT, 0.0, 100.0, Command.VALVE),
    Variable("Valve001", "Position", DataType.DOUBLE, "valve_position", PERCENT, 0.0, 100.0),
    Variable("Tank001", "Level", DataType.DOUBLE, "level", PERCENT, 0.0, 100.0),
)
THINGS = ("Pump001", "Valve001", "Tank001")


def counter_path(index: int) -> str:
    """The string identifier of counter `index` (UInt32, read-only)."""
    return f"{COUNTERS}.C{index:05d}"
