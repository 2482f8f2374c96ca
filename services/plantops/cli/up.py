"""`plantops up`: start a site, all of it."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from plantops.cli.output import DEMO_FOLDER, Folder, JsonLines, Voice, safe, working
from plantops.cli.session import run as run_work
from plantops.deployment.initialise import initialise
from plantops.deployment.processes import process_names
from plantops.deployment.readiness import refuse_unready
from plantops.deployment.runtime_file import hold
from plantops.deployment.signals import stop_on_signals
from plantops.deployment.site import Site, load_site
from plantops.deployment.supervisor import Supervisor, grouped, replicated
from plantops.runtime.errors import SettingsError
from plantops.runtime.log import configure_logging


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="up")(up)


def up(
    folder: Folder = DEMO_FOLDER,
    gates: Annotated[
        int, typer.Option(help="How many gates run, one at work; 0: as the site's settings say.")
    ] = 0,
    json: JsonLines = False,
) -> None:
    """Start everything: broker, processes and, for the demo site, the simulated plant. Ctrl-C stops it.

    The folder is checked first: what a person must mend is told before anything starts. Without --folder
    the demo site in .plantops/demo is made when it is not there.
    """
    voice = Voice(json=json)
    if not (folder / "plantops.toml").exists():
        if folder != DEMO_FOLDER:
            raise SettingsError(f"{folder} holds no site: make one with `plantops init {folder}`")
        with working("making the demo site…", quiet=json):
            initialise(folder)
        voice.say(
            f"Made the demo site in {safe(str(folder))}. Its keys are for this machine and for trying only.",
            event="made",
            folder=str(folder),
        )
    with working("checking the folder…", quiet=json):
        site = load_site(folder)
        if gates:
            site = dataclasses.replace(site, settings=msgspec.structs.replace(site.settings, gates=gates))
        groups = grouped(process_names(site), site.settings.groups)
        replicated(groups, site.settings.gates, site.settings.gateway.workers)
        refuse_unready(site)
    with hold(site.folder):
        run_work(_up(site, voice))


async def _up(site: Site, voice: Voice) -> None:
    configure_logging("up", site.settings.log_level)
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    supervisor = Supervisor(site, stopping, tell=lambda text: voice.say(safe(text)))
    work = asyncio.create_task(supervisor.run())
    if await started(supervisor, work, stopping):
        folder: Path = site.folder.root
        voice.say(
            f"[green]site {site.name!r} is up[/]: logs in {safe(str(site.folder.logs))}, Ctrl-C stops it; "
            f"try `plantops status --folder {safe(str(folder))}`",
            event="up",
            site=site.name,
            folder=str(folder),
        )
    try:
        await work
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise
    voice.say("stopped", event="stopped")


async def started(supervisor: Supervisor, work: asyncio.Task[None], stopping: asyncio.Event) -> bool:
    """Wait until the site is up; false when it ended before. Who stops it while it starts need not wait."""
    ready = asyncio.create_task(supervisor.ready.wait())
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([work, ready, stop], return_when=asyncio.FIRST_COMPLETED)
    is_ready = ready.done()
    if stop.done() and not is_ready:
        work.cancel()
    for task in (ready, stop):
        task.cancel()
    await asyncio.gather(ready, stop, return_exceptions=True)
    return is_ready and not work.done()
