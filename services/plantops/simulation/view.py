"""What of the plant can be seen, by the names that the maps of all protocols use."""

from plantops.simulation.plant import Plant

DEVICE_NAME = "PUMP-001"
Shown = dict[str, float | str]


def shown(plant: Plant) -> Shown:
    """The plant's values by name: RPM, percent, degC, l/min; booleans as 0.0 and 1.0."""
    state, inputs = plant.state, plant.inputs
    bits = (state.running, state.fault, state.local_mode, state.maintenance, state.plc_running)
    return {
        "speed_setpoint": inputs.speed_setpoint_rpm,
        "run_command": float(inputs.run),
        "valve_command": inputs.valve_command_percent,
        "temperature": state.temperature_celsius,
        "flow": state.flow_litres_per_minute,
        "speed": state.speed_rpm,
        "level": state.level_percent,
        "valve_position": state.valve_position_percent,
        "status_word": float(sum(bit << position for position, bit in enumerate(bits))),
        "device_name": DEVICE_NAME,
        "heartbeat": float(state.counter_ticks % (1 << 32)),
        "reset": float(inputs.reset),
        "run": float(inputs.run),
        "running": float(state.running),
        "fault": float(state.fault),
        "local_mode": float(state.local_mode),
        "maintenance": float(state.maintenance),
        "plc_running": float(state.plc_running),
    }
