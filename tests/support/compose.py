"""A site that runs as containers in a project of its own: `docker compose` as people use it, and worse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layout.repository import ROOT
from plantops.deployment.runtime_file import Running, SimulationPorts
from support.nats import free_port
from support.site import RunningSite, until

# Root cannot own what a container without rights may read: then the image's own user does.
OWNER = os.getuid() or 10001
BASE, PRODUCTION = ("compose.yaml",), ("compose.yaml", "compose.prod.yaml")
UP_SECONDS = 240


@dataclass
class Stack(RunningSite):
    """`root` is the site folder. `RunningSite` gives sessions and readers; what starts and stops is here."""

    project: str = ""
    image: str = ""
    files: tuple[str, ...] = BASE
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("NATS", "MQTT", "PLANT", "GRAFANA", "HTTP"):
            self.ports.setdefault(name, free_port())

    @property
    def environment(self) -> dict[str, str]:
        """What .env would hold."""
        return {
            "PLANTOPS_SITE": str(self.root),
            "PLANTOPS_IMAGE": self.image,
            "PLANTOPS_UID": str(OWNER),
            "PLANTOPS_GID": str(OWNER),
            **{f"PLANTOPS_{name}_PORT": str(port) for name, port in self.ports.items()},
        }

    def compose(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """One `docker compose` command of this project, to its end."""
        given = [word for file in self.files for word in ("-f", file)]
        return subprocess.run(
            ["docker", "compose", "-p", self.project, *given, *words],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def done(self, *words: str, timeout: float = 120) -> str:
        """As `compose`, for what must work; gives its output."""
        finished = self.compose(*words, timeout=timeout)
        assert finished.returncode == 0, f"{words}: {finished.stdout}{finished.stderr}{self.told()}"
        return finished.stdout

    def initialise(self, *words: str) -> None:
        """The site, made by the image itself, and its broker's address on this host."""
        self.root.mkdir(mode=0o700)
        own(self.root)
        self.done("run", "--rm", "init", *words)
        self.change("plantops.toml", {"nats://127.0.0.1:4222": f"nats://127.0.0.1:{self.ports['NATS']}"})

    def change(self, name: str, changes: Mapping[str, str]) -> None:
        """Edit a file of the site."""
        path = self.root / name
        text = path.read_text()
        for before, after in changes.items():
            assert before in text
            text = text.replace(before, after)
        path.write_text(text)

    def up(self, *services: str) -> None:
        """Returns when everything is healthy."""
        self.done(
            "up",
            "--no-build",
            "--wait",
            "--wait-timeout",
            str(UP_SECONDS),
            *services,
            timeout=UP_SECONDS + 60,
        )

    def down(self, *words: str) -> None:
        self.done("down", "--timeout", "10", "--remove-orphans", *words)

    def told(self) -> str:
        """The last lines of every container's log, for a failed test."""
        return self.compose("logs", "--no-color", "--tail", "8").stdout

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine says of each container, by service."""
        lines = self.done("ps", "--all", "--format", "json").splitlines()
        return {found["Service"]: found for found in map(json.loads, lines)}

    def inspect(self, service: str, place: str) -> str:
        """One field of a service's container."""
        name = self.containers()[service]["Name"]
        asked = subprocess.run(
            ["docker", "inspect", "-f", f"{{{{{place}}}}}", name], capture_output=True, text=True, check=True
        )
        return asked.stdout.strip()

    # As `RunningSite` wants it

    @property
    def running(self) -> Running:
        plant = SimulationPorts(modbus=0, opcua="", control=self.ports["PLANT"], certificate="")
        url = self.site.settings.broker.url
        return Running(pid=os.getpid(), url=url, monitor_port=0, simulation=plant)

    async def kill(self, part: str) -> None:
        """`kill -9` of what runs in a container; returns when the engine has started it again."""
        before = self.inspect(part, ".State.StartedAt")
        # The init process is told of the death of its only child and ends, too.
        self.done("exec", "-T", part, "sh", "-c", "kill -9 $(cat /proc/1/task/1/children)")

        async def look() -> tuple[str, str]:
            return self.inspect(part, ".State.StartedAt"), self.inspect(part, ".State.Status")

        await until(look, lambda now: now[0] != before and now[1] == "running", f"{part} runs again")


def own(path: Path, owner: int = OWNER) -> None:
    """Give a file or a folder with all that is in it to whom the containers run as."""
    for each in (path, *path.rglob("*")):
        shutil.chown(each, owner, owner) if os.getuid() == 0 else None
