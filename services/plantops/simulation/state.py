"""What the simulated process is (`State`), is told to do (`Inputs`), and suffers from (`Faults`)."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from plantops.runtime.errors import SettingsError, WriteRejected

MAX_SPEED_RPM = 3600.0
AMBIENT_CELSIUS = 22.0


class Command(StrEnum):
    """What a protocol client may write; the value's unit is in the comment."""

    SPEED = "speed"  # RPM, 0..3600
    RUN = "run"  # 0 stop, 1 start
    VALVE = "valve"  # percent, 0..100
    RESET = "reset"  # 1 resets a latched fault


class SensorState(StrEnum):
    """What the motor temperature's transmitter says of itself."""

    OK = "ok"
    UNCERTAIN = "uncertain"  # the last usable value stands
    BROKEN = "broken"  # no value at all


class Fault(StrEnum):
    """What can be told to the plant from outside; the kind of value is in the comment."""

    TEMPERATURE = "temperature"  # degC that the transmitter shows, whatever the motor does
    TRIP = "trip"  # true: the drive trips; latched until a reset after the cause is gone
    SENSOR = "sensor"  # SensorState
    VALVE_STUCK = "valve_stuck"  # true: the valve does not follow its command
    FROZEN = "frozen"  # true: the device answers, but its program stands still
    LOCAL = "local"  # true: remote commands are ignored, except stop
    MAINTENANCE = "maintenance"  # true: only shown
    PLC_STOPPED = "plc_stopped"  # true: outputs off, commands ignored


@dataclass(frozen=True, slots=True)
class Faults:
    """What is broken or switched over at the plant; the default is a healthy plant in remote mode."""

    temperature: float | None = None
    trip: bool = False
    sensor: SensorState = SensorState.OK
    valve_stuck: bool = False
    frozen: bool = False
    local: bool = False
    maintenance: bool = False
    plc_stopped: bool = False


@dataclass(frozen=True, slots=True)
class Inputs:
    """The command words of the PLC, as they read back, and the faults that act on it."""

    speed_setpoint_rpm: float = 0.0
    run: bool = False
    valve_command_percent: float = 0.0
    reset: bool = False
    faults: Faults = Faults()


@dataclass(frozen=True, slots=True)
class State:
    """One moment of the plant. Equal seed, inputs and steps give an equal state on every machine."""

    running: bool = False
    fault: bool = False
    plc_running: bool = True
    local_mode: bool = False
    maintenance: bool = False
    speed_rpm: float = 0.0
    motor_celsius: float = AMBIENT_CELSIUS
    temperature_celsius: float = AMBIENT_CELSIUS  # what the transmitter shows; NaN when it is broken
    sensor: SensorState = SensorState.OK
    valve_position_percent: float = 0.0
    flow_litres_per_minute: float = 0.0
    level_percent: float = 60.0
    elapsed_microseconds: int = 0  # whole numbers: a sum of floats would skip counter ticks
    counter_ticks: int = 0
    noise: int = 1


@dataclass(frozen=True, slots=True)
class Parameters:
    """What differs between plants: thermal time constant in seconds, counter rate in ticks per second."""

    temperature_seconds: float = 20.0
    counter_rate: float = 10.0


_RANGES = {
    Command.SPEED: (0.0, MAX_SPEED_RPM),
    Command.RUN: (0.0, 1.0),
    Command.VALVE: (0.0, 100.0),
    Command.RESET: (0.0, 1.0),
}


def check_command(name: Command, value: float) -> None:
    """Raises: WriteRejected when `value` is outside the range of `name` or not finite."""
    low, high = _RANGES[name]
    if not low <= value <= high:  # NaN compares false, so it ends here as well
        message = f"the plant refused {value!r} for {name.value!r}: give {low:g} to {high:g}"
        raise WriteRejected(message, tag=name.value)
    if name in (Command.RUN, Command.RESET) and value not in (0.0, 1.0):
        raise WriteRejected(f"the plant refused {value!r} for {name.value!r}: give 0 or 1", tag=name.value)


def with_command(inputs: Inputs, name: Command, value: float) -> Inputs:
    """The inputs after one write; unchanged where the PLC ignores it, so the old value reads back.

    Ignored: everything while frozen or with the PLC stopped; in local mode everything but a stop.

    Raises: WriteRejected when the value is out of range.
    """
    check_command(name, value)
    faults = inputs.faults
    is_stop = name is Command.RUN and value == 0.0
    if faults.frozen or faults.plc_stopped or (faults.local and not is_stop):
        return inputs
    match name:
        case Command.SPEED:
            return replace(inputs, speed_setpoint_rpm=float(value))
        case Command.RUN:
            return replace(inputs, run=value == 1.0)
        case Command.VALVE:
            return replace(inputs, valve_command_percent=float(value))
        case Command.RESET:
            return replace(inputs, reset=value == 1.0)


def with_fault(inputs: Inputs, fault: Fault, value: float | bool | str) -> Inputs:
    """The inputs with one fault set to `value` (see `Fault` for what each takes).

    Raises: SettingsError when the value does not fit the fault.
    """
    try:
        faults = _set_fault(inputs.faults, fault, value)
    except ValueError as error:
        message = f"fault {fault.value!r} cannot take {value!r}: {error}"
        raise SettingsError(message, setting=fault.value) from error
    return replace(inputs, faults=faults)


def _set_fault(faults: Faults, fault: Fault, value: float | bool | str) -> Faults:
    if fault is Fault.SENSOR:
        return replace(faults, sensor=SensorState(str(value)))
    if fault is Fault.TEMPERATURE:
        if isinstance(value, bool | str) or not math.isfinite(value):
            raise ValueError("give a finite number of degrees Celsius")
        return replace(faults, temperature=float(value))
    if value is not True and value is not False:
        raise ValueError("give true or false")
    return _switched(faults, fault, value)


def _switched(faults: Faults, fault: Fault, value: bool) -> Faults:
    match fault:
        case Fault.TRIP:
            return replace(faults, trip=value)
        case Fault.VALVE_STUCK:
            return replace(faults, valve_stuck=value)
        case Fault.FROZEN:
            return replace(faults, frozen=value)
        case Fault.LOCAL:
            return replace(faults, local=value)
        case Fault.MAINTENANCE:
            return replace(faults, maintenance=value)
        case Fault.PLC_STOPPED:
            return replace(faults, plc_stopped=value)
        case Fault.SENSOR | Fault.TEMPERATURE:
            raise ValueError("is not a switch")


def without_fault(inputs: Inputs, fault: Fault | None) -> Inputs:
    """The inputs with `fault` gone, or with every fault gone when None."""
    if fault is None:
        return replace(inputs, faults=Faults())
    if fault is Fault.TEMPERATURE:
        return replace(inputs, faults=replace(inputs.faults, temperature=None))
    if fault is Fault.SENSOR:
        return replace(inputs, faults=replace(inputs.faults, sensor=SensorState.OK))
    return with_fault(inputs, fault, False)
