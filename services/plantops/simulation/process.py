"""The process model: pump-001, valve-001 and tank-001 as one pure step over time.

Nothing here reads a clock or a global random source: the noise generator is part of the state.
"""

import math
from dataclasses import replace

from plantops.simulation.state import AMBIENT_CELSIUS, MAX_SPEED_RPM, Inputs, Parameters, SensorState, State

SPEED_LAG_SECONDS = 1.5
SPEED_RAMP_RPM_PER_SECOND = 500.0
VALVE_SLEW_PERCENT_PER_SECOND = 20.0
MAX_PUMP_FLOW = 300.0  # l/min at 3600 RPM
MAX_VALVE_FLOW = 200.0  # l/min at 100 % open
TANK_LITRES = 1000.0
TEMPERATURE_NOISE_CELSIUS = 0.05
FLOW_NOISE_SHARE = 0.002

_COUNTER_MODULUS = 1 << 32
_MASK_64 = (1 << 64) - 1
COUNTER_OFFSET = 1_000_000


def step(state: State, inputs: Inputs, dt_seconds: float, parameters: Parameters | None = None) -> State:
    """The plant `dt_seconds` later (0 only lets inputs take effect).

    While frozen the whole state stands still. A trip stays latched until a reset after its cause is gone.
    """
    faults = inputs.faults
    if faults.frozen:
        return state
    parameters = parameters or Parameters()
    fault = faults.trip or (state.fault and not inputs.reset)
    running = inputs.run and not fault and not faults.plc_stopped
    speed = _speed(state.speed_rpm, inputs.speed_setpoint_rpm if running else 0.0, dt_seconds)
    motor = _approach(
        state.motor_celsius, equilibrium_celsius(speed), dt_seconds, parameters.temperature_seconds
    )
    is_held = faults.valve_stuck or faults.plc_stopped
    valve = state.valve_position_percent
    if not is_held:
        slew = VALVE_SLEW_PERCENT_PER_SECOND * dt_seconds
        valve = _towards(valve, inputs.valve_command_percent, slew)
    noise, wobble = _next_noise(state.noise)
    flow = _pump_flow(speed, state.level_percent) * (1.0 + FLOW_NOISE_SHARE * wobble)
    elapsed = state.elapsed_microseconds + round(dt_seconds * 1e6)
    return replace(
        state,
        running=running,
        fault=fault,
        plc_running=not faults.plc_stopped,
        local_mode=faults.local,
        maintenance=faults.maintenance,
        speed_rpm=speed,
        motor_celsius=motor,
        temperature_celsius=_shown_temperature(state, inputs, motor, wobble),
        sensor=faults.sensor,
        valve_position_percent=valve,
        flow_litres_per_minute=round(flow, 3),
        level_percent=_level(state.level_percent, valve, flow, dt_seconds),
        elapsed_microseconds=elapsed,
        counter_ticks=math.floor(elapsed * parameters.counter_rate / 1e6),
        noise=noise,
    )


def settled(inputs: Inputs, state: State) -> Inputs:
    """The command words after a step: the PLC consumes a reset and drops a start that it cannot keep.

    So neither a reset nor a restarted PLC lets the pump start by itself.
    """
    if inputs.faults.frozen:
        return inputs
    return replace(inputs, reset=False, run=inputs.run and not state.fault and state.plc_running)


def equilibrium_celsius(speed_rpm: float) -> float:
    """Motor temperature at a sustained speed: 22 at rest, 68 at 1200 RPM, above 95 from 2900 RPM."""
    return AMBIENT_CELSIUS + 46.0 * math.pow(max(speed_rpm, 0.0) / 1200.0, 0.53)


def counter_value(ticks: int, index: int) -> int:
    """Counter number `index` after `ticks` (uint32, wraps); the offset tells swapped counters apart."""
    return (ticks + COUNTER_OFFSET * index) % _COUNTER_MODULUS


def _shown_temperature(state: State, inputs: Inputs, motor_celsius: float, wobble: float) -> float:
    match inputs.faults.sensor:
        case SensorState.BROKEN:
            return math.nan
        case SensorState.UNCERTAIN if not math.isnan(state.temperature_celsius):
            return state.temperature_celsius
        case _ if inputs.faults.temperature is not None:
            return inputs.faults.temperature
        case _:
            return round(motor_celsius + TEMPERATURE_NOISE_CELSIUS * wobble, 3)


def _speed(speed_rpm: float, target_rpm: float, dt_seconds: float) -> float:
    lagged = _approach(speed_rpm, target_rpm, dt_seconds, SPEED_LAG_SECONDS)
    speed = _towards(speed_rpm, lagged, SPEED_RAMP_RPM_PER_SECOND * dt_seconds)
    # A first-order lag never arrives; a real drive holds its set-point within less than one turn.
    return target_rpm if abs(target_rpm - speed) < 0.5 else speed


def _pump_flow(speed_rpm: float, level_percent: float) -> float:
    return MAX_PUMP_FLOW * speed_rpm / MAX_SPEED_RPM if level_percent > 0.0 else 0.0


def _level(level_percent: float, valve_percent: float, outflow: float, dt_seconds: float) -> float:
    inflow = MAX_VALVE_FLOW * valve_percent / 100.0
    change = (inflow - outflow) * dt_seconds / 60.0 / TANK_LITRES * 100.0
    return min(max(level_percent + change, 0.0), 100.0)


def _approach(value: float, target: float, dt_seconds: float, tau_seconds: float) -> float:
    return target + (value - target) * math.exp(-dt_seconds / tau_seconds)


def _towards(value: float, target: float, limit: float) -> float:
    return value + min(max(target - value, -limit), limit)


def _next_noise(seed: int) -> tuple[int, float]:
    """The next state of a 64-bit linear congruential generator and a number in [-1, 1).

    Multiplier and increment: Knuth, MMIX; only the high bits are used, the low ones have short periods.
    """
    advanced = (seed * 6364136223846793005 + 1442695040888963407) & _MASK_64
    return advanced, (advanced >> 11) / (1 << 52) - 1.0
