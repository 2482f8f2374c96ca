"""`python -m plantops.simulation`: one simulated plant until SIGTERM or SIGINT.

When everything listens, one line of JSON goes to standard output:
{"modbus": port, "opcua": url, "control": port, "certificates": folder}.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from plantops.runtime.errors import PlantOpsError
from plantops.runtime.heartbeat import beat
from plantops.simulation.control import ControlServer
from plantops.simulation.simulated_plant import LOOPBACK, SimulatedPlant, SimulationSettings

# The password is for the demonstration on loopback only; it protects nothing.
DEMO_PASSWORD = "plantops"  # noqa: S105
PASSWORD_VARIABLE = "PLANTOPS_SIMULATION_PASSWORD"  # noqa: S105 - a name, not a secret


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"a port is 0 to 65535, not {port}")
    return port


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="plantops.simulation", description=__doc__)
    parser.add_argument("--host", default=LOOPBACK, help="the address that all ports listen on")
    parser.add_argument("--public-host", default=LOOPBACK, help="the name by which clients find it")
    parser.add_argument("--modbus-port", type=_port, default=0, help="0 takes a free port")
    parser.add_argument("--opcua-port", type=_port, default=0, help="0 takes a free port")
    parser.add_argument("--control-port", type=_port, default=0, help="0 takes a free port")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same noise")
    parser.add_argument("--counters", type=int, default=0, help="number of counter tags")
    parser.add_argument("--counter-rate", type=float, default=10.0, help="ticks per second")
    parser.add_argument("--temperature-seconds", type=float, default=20.0, help="thermal time constant")
    parser.add_argument("--certificates", type=Path, help="kept folder for the OPC UA certificate")
    parser.add_argument("--password-file", type=Path, help="holds the password of the OPC UA user")
    parser.add_argument("--heartbeat", type=Path, help="renewed every second while everything serves")
    parser.add_argument("--anonymous", action="store_true", help="let OPC UA clients in without a user")
    return parser.parse_args(arguments)


def _password(file: Path | None) -> str:
    return file.read_text().strip() if file else os.environ.get(PASSWORD_VARIABLE, DEMO_PASSWORD)


async def run(settings: SimulationSettings, *, control_port: int = 0, heartbeat: Path | None = None) -> None:
    """Run a plant until SIGTERM or SIGINT, or until the model fails.

    Raises: OSError when a port is taken.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with (
        SimulatedPlant(settings) as plant,
        ControlServer(plant, port=control_port, host=settings.host) as control,
    ):
        ready = {
            "modbus": plant.modbus_port,
            "opcua": plant.opcua_url,
            "control": control.port,
            "certificates": str(settings.certificates),
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        ends = [asyncio.ensure_future(end) for end in (stopped.wait(), plant.failed())]
        if heartbeat is not None:
            ends.append(asyncio.ensure_future(beat(heartbeat, lambda: True)))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 after a signal, 2 when the plant could not start."""
    given = _arguments(arguments)
    with tempfile.TemporaryDirectory(prefix="plantops-simulation-") as folder:
        settings = SimulationSettings(
            certificates=given.certificates or Path(folder),
            opcua_password=_password(given.password_file),
            modbus_port=given.modbus_port,
            opcua_port=given.opcua_port,
            opcua_anonymous=given.anonymous,
            seed=given.seed,
            counters=given.counters,
            counter_rate=given.counter_rate,
            temperature_seconds=given.temperature_seconds,
            host=given.host,
            public_host=given.public_host,
        )
        try:
            asyncio.run(run(settings, control_port=given.control_port, heartbeat=given.heartbeat))
        except (OSError, PlantOpsError) as error:
            sys.stderr.write(f"the simulated plant cannot run: {error}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
