"""`plantops up` and `plantops run`: start a site, or single processes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, out
from plantops.cli.session import run as run_work
from plantops.deployment.initialise import initialise
from plantops.deployment.runner import Runner, process_names, stop_on_signals
from plantops.deployment.site import load_site
from plantops.deployment.supervisor import Supervisor
from plantops.runtime.errors import SettingsError
from plantops.runtime.log import configure_logging


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="up")(up)
    app.command(name="run")(run)


def up(folder: Folder = DEMO_FOLDER) -> None:
    """Start everything: broker, processes and, for the demo site, the simulated plant. Ctrl-C stops it."""
    if not (folder / "plantops.toml").exists():
        if folder != DEMO_FOLDER:
            raise SettingsError(f"{folder} holds no site: make one with `plantops init {folder}`")
        with out.status("Making the demo site…"):
            initialise(folder)
        out.print(f"Made the demo site in {folder}. Its keys are for this machine and for trying only.")
    run_work(_up(folder))


async def _up(folder: Path) -> None:
    site = load_site(folder)
    configure_logging("up", site.settings.log_level)
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    supervisor = Supervisor(site, stopping, tell=out.print)
    work = asyncio.create_task(supervisor.run())
    ready = asyncio.create_task(supervisor.ready.wait())
    await asyncio.wait([work, ready], return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if not work.done():
        out.print(f"[green]site {site.name!r} is up[/]: logs in {site.folder.logs}, Ctrl-C stops it")
    await work
    out.print("stopped")


def run(
    processes: Annotated[list[str], typer.Argument(help="Names such as gate, twin, adapter-plc1.")],
    folder: Folder = DEMO_FOLDER,
) -> None:
    """Run single processes of a site in the foreground, each with its own keys and connection."""
    run_work(_run(processes, folder))


async def _run(processes: list[str], folder: Path) -> None:
    site = load_site(folder)
    configure_logging("+".join(processes), site.settings.log_level)
    unknown = [name for name in processes if name not in process_names(site)]
    if unknown:
        raise SettingsError(f"no process {unknown[0]!r}; there are {', '.join(process_names(site))}")
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    await Runner(site, stopping).run(processes)
