"""The pure model: what it does in time, and that nothing but its inputs decides it."""

import math
from collections.abc import Callable

import pytest

from plantops.runtime.errors import SettingsError, WriteRejected
from plantops.simulation.process import counter_value, equilibrium_celsius, settled, step
from plantops.simulation.state import (
    Command,
    Fault,
    Inputs,
    Parameters,
    SensorState,
    State,
    with_command,
    with_fault,
    without_fault,
)

DT = 0.05


def run(state: State, inputs: Inputs, seconds: float, parameters: Parameters | None = None) -> State:
    for _ in range(round(seconds / DT)):
        state = step(state, inputs, DT, parameters)
        inputs = settled(inputs, state)
    return state


def started(rpm: float) -> Inputs:
    return with_command(with_command(Inputs(), Command.SPEED, rpm), Command.RUN, 1)


def test_the_same_seed_and_inputs_give_the_same_trajectory() -> None:
    def trajectory(seed: int) -> list[State]:
        states, state = [], State(noise=seed)
        for tick in range(400):
            inputs = started(1200) if tick < 200 else with_fault(started(1200), Fault.VALVE_STUCK, True)
            state = step(state, inputs, DT)
            states.append(state)
        return states

    assert trajectory(7) == trajectory(7)
    assert trajectory(7) != trajectory(8)


def test_the_speed_rises_to_the_set_point_no_faster_than_the_ramp() -> None:
    before = State()
    for _ in range(round(15 / DT)):
        after = step(before, started(1200), DT)
        assert before.speed_rpm <= after.speed_rpm <= before.speed_rpm + 500 * DT + 1e-9
        before = after
    assert before.speed_rpm == 1200.0
    assert run(before, Inputs(speed_setpoint_rpm=1200), 15).speed_rpm == 0.0


def test_the_motor_warms_toward_the_equilibrium_of_its_speed() -> None:
    assert equilibrium_celsius(0) == 22.0
    assert equilibrium_celsius(1200) == pytest.approx(68.0)
    assert equilibrium_celsius(2900) > 95.0 > equilibrium_celsius(2800)
    quick = Parameters(temperature_seconds=1.0)
    assert run(State(), started(1200), 30, quick).temperature_celsius == pytest.approx(68.0, abs=0.1)


def test_the_valve_slews_and_the_tank_follows_inflow_and_outflow() -> None:
    filling = with_command(Inputs(), Command.VALVE, 100)
    assert run(State(), filling, 2.5).valve_position_percent == pytest.approx(50.0)
    assert run(State(), filling, 30).level_percent > 60.0
    assert run(State(), started(3600), 30).level_percent < 60.0
    stuck = with_fault(filling, Fault.VALVE_STUCK, True)
    assert run(State(), stuck, 5).valve_position_percent == 0.0


def test_a_trip_stays_latched_until_a_reset_after_the_cause_is_gone_and_nothing_restarts_by_itself() -> None:
    running = run(State(), started(1200), 5)
    tripped = step(running, with_fault(started(1200), Fault.TRIP, True), DT)
    assert tripped.fault
    assert not tripped.running
    inputs = settled(without_fault(started(1200), Fault.TRIP), tripped)
    assert not inputs.run
    assert run(tripped, inputs, 1).fault
    reset = step(tripped, with_command(inputs, Command.RESET, 1), DT)
    assert not reset.fault
    assert not reset.running
    kept = with_command(with_fault(inputs, Fault.TRIP, True), Command.RESET, 1)
    assert step(tripped, kept, DT).fault


def test_a_told_temperature_is_shown_exactly_and_a_broken_sensor_shows_nothing() -> None:
    told = with_fault(Inputs(), Fault.TEMPERATURE, 96)
    assert step(State(), told, DT).temperature_celsius == 96.0
    broken = step(State(), with_fault(told, Fault.SENSOR, "broken"), DT)
    assert math.isnan(broken.temperature_celsius)
    assert broken.sensor is SensorState.BROKEN
    uncertain = with_fault(started(3600), Fault.SENSOR, "uncertain")
    assert run(State(temperature_celsius=50.0), uncertain, 10).temperature_celsius == 50.0


def test_a_frozen_plant_stands_still_and_takes_no_command() -> None:
    frozen = with_fault(started(1200), Fault.FROZEN, True)
    state = run(State(), started(1200), 1)
    assert run(state, frozen, 5) == state
    assert with_command(frozen, Command.RUN, 0) == frozen


def test_local_mode_ignores_remote_commands_but_a_stop() -> None:
    local = with_fault(started(1200), Fault.LOCAL, True)
    assert with_command(local, Command.SPEED, 600) == local
    stopped = with_command(local, Command.RUN, 0)
    assert not stopped.run
    assert with_command(stopped, Command.RUN, 1) == stopped


def test_counters_rise_by_one_and_wrap_at_32_bits() -> None:
    ticks, state = [], State()
    for _ in range(200):
        state = step(state, Inputs(), DT, Parameters(counter_rate=20.0))
        ticks.append(state.counter_ticks)
    assert ticks == list(range(1, 201))
    assert counter_value(2**32 - 1, 0) == 2**32 - 1
    assert counter_value(2**32, 0) == 0
    assert counter_value(5, 2) == 2_000_005


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (Command.SPEED, 3601),
        (Command.SPEED, -1),
        (Command.SPEED, math.nan),
        (Command.RUN, 2),
        (Command.RUN, 0.5),
        (Command.VALVE, 100.1),
        (Command.VALVE, math.inf),
    ],
)
def test_a_command_out_of_range_is_refused(name: Command, value: float) -> None:
    with pytest.raises(WriteRejected):
        with_command(Inputs(), name, value)


@pytest.mark.parametrize(
    "tell",
    [
        lambda: with_fault(Inputs(), Fault.TEMPERATURE, math.nan),
        lambda: with_fault(Inputs(), Fault.TEMPERATURE, True),
        lambda: with_fault(Inputs(), Fault.TRIP, 1.0),
        lambda: with_fault(Inputs(), Fault.SENSOR, "odd"),
    ],
)
def test_a_fault_with_an_unfit_value_is_refused(tell: Callable[[], Inputs]) -> None:
    with pytest.raises(SettingsError):
        tell()
