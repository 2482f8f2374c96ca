"""What a running `plantops up` tells the other commands: where things listen. Written whole, read often."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from plantops.deployment.folder import SiteFolder
from plantops.runtime.errors import SettingsError


class SimulationPorts(msgspec.Struct, frozen=True):
    """Where the simulated plant listens; `certificate` is its OPC UA server certificate."""

    modbus: int
    opcua: str
    control: int
    certificate: str


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file; `processes` maps an operating-system process's name to its id. `gateway` is the port of
    the HTTP gateway, 0 where none runs."""

    pid: int
    url: str
    monitor_port: int
    simulation: SimulationPorts | None = None
    processes: dict[str, int] = {}
    gateway: int = 0


def write_running(folder: SiteFolder, running: Running) -> None:
    """Replace the file at once."""
    folder.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = folder.runtime_file.with_suffix(".new")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(running), indent=2))
    temporary.replace(folder.runtime_file)


def read_running(folder: SiteFolder) -> Running | None:
    """None when nothing runs here (no file, or its process is gone)."""
    try:
        running = msgspec.json.decode(folder.runtime_file.read_bytes(), type=Running)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise SettingsError(f"{folder.runtime_file} is damaged: remove it and start again") from error
    except OSError as error:
        raise SettingsError(
            f"{folder.runtime_file} cannot be read ({error.strerror}): check its owner and rights"
        ) from error
    return running if _is_alive(running.pid) else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def hold(folder: SiteFolder) -> Iterator[None]:
    """This process alone runs the site. Raises: SettingsError when another one does."""
    folder.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder.run / "up.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"another `plantops up` has {folder.root} and is just starting or ending: use it, or stop it"
            ) from None
        yield


def overrides(adapter: str, running: Running | None) -> dict[str, Any]:
    """What only the running site knows of a connection to the simulated plant."""
    if running is None or running.simulation is None:
        return {}
    if adapter == "modbus":
        return {"host": "127.0.0.1", "port": running.simulation.modbus}
    if adapter == "opcua":
        return {
            "endpoint_url": running.simulation.opcua,
            "server_certificate": running.simulation.certificate,
        }
    return {}
