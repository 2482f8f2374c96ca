"""`plantops run`: single processes of a site."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, JsonLines, Voice, did_you_mean, some
from plantops.cli.session import run as run_work
from plantops.deployment.processes import process_names
from plantops.deployment.runner import Runner
from plantops.deployment.signals import stop_on_signals
from plantops.deployment.site import load_site
from plantops.runtime.errors import SettingsError
from plantops.runtime.log import configure_logging


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="run")(run)


def run(
    processes: Annotated[list[str], typer.Argument(help="Names such as gate, twin, adapter-plc1.")],
    folder: Folder = DEMO_FOLDER,
    heartbeat: Annotated[
        Path | None,
        typer.Option(
            envvar="PLANTOPS_HEARTBEAT",
            help="A file that is renewed every second while all of them are connected, restored and at work.",
        ),
    ] = None,
    replica: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of this one, where several of one name run on this machine: from 2 on it has its own"
            " folder, data/NAME-NUMBER.",
        ),
    ] = 1,
    json: JsonLines = False,
) -> None:
    """Run single processes of a site in the foreground.

    Each has its own keys and connection; the broker must run, with its streams made by `plantops up` or by
    the provisioner. Logs go to standard error. Ctrl-C stops them in good order.
    """
    run_work(_run(processes, folder, heartbeat, replica, Voice(json=json)))


async def _run(
    processes: list[str], folder: Path, heartbeat: Path | None, replica: int, voice: Voice
) -> None:
    site = load_site(folder)
    there = process_names(site)
    for name in processes:
        if name not in there:
            raise SettingsError(f"no process {name!r}{did_you_mean(name, there)}: there are {some(there)}")
    configure_logging("+".join(processes), site.settings.log_level)
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    names = ", ".join(processes)
    voice.say(f"running {names}", event="running", processes=processes)
    await Runner(site, stopping, heartbeat, replica).run(processes)
    voice.say("stopped", event="stopped")
