"""`plantops demo`: a story on the simulated plant. Every step shows what really happened."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from plantops.cli.output import JsonLines, Voice, safe, working
from plantops.cli.session import run, session_of
from plantops.cli.story import Ground, Story
from plantops.cli.up import started
from plantops.deployment.broker import broker_url
from plantops.deployment.initialise import initialise
from plantops.deployment.runtime_file import read_running
from plantops.deployment.signals import stop_on_signals
from plantops.deployment.site import Site, load_site
from plantops.deployment.supervisor import Supervisor
from plantops.runtime.errors import PlantOpsError, Refused, SettingsError
from plantops.runtime.log import configure_logging

PEOPLE = ("alice", "bob", "carol")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="demo")(demo)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the site folder afterwards.")] = False,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Tell it on the demo site in this folder, which runs already."),
    ] = None,
    plant: Annotated[
        str,
        typer.Option(
            envvar="PLANTOPS_PLANT",
            help="HOST:PORT of that site's plant control (default: as the site says, on this host).",
        ),
    ] = "",
    json: JsonLines = False,
) -> None:
    """Tell a newcomer what PlantOps does, on real protocols and a real broker.

    Takes less than a minute, in a folder of its own that is removed at the end. Exit code 1 when a step does
    not come out as promised.
    """
    voice = Voice(json=json)
    folder = Path(tempfile.mkdtemp(prefix="plantops-demo-"))
    begun = time.monotonic()
    try:
        if against is None:
            run(_demo(folder / "site", voice))
        else:
            run(_against(against, plant, folder / "export", voice))
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    took = time.monotonic() - begun
    if keep and against is None:
        place = safe(str(folder / "site"))
        voice.say(f"\nThe site is in {place}: try `plantops up --folder {place}`.", event="kept")
    voice.say(
        f"\n[bold green]The story took {took:.0f} s.[/] Start your own: `plantops up`",
        event="done",
        seconds=round(took, 1),
    )


async def _demo(folder: Path, voice: Voice) -> None:
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    with working("making a demo site with its own keys…", quiet=voice.json):
        site = await asyncio.to_thread(_made, folder)
    configure_logging("demo", "error")
    supervisor = Supervisor(site, stopping, tell=lambda text: voice.say(f"[dim]{safe(text)}[/]"))
    work = asyncio.create_task(supervisor.run())
    try:
        with working("starting broker, simulated plant and processes…", quiet=voice.json):
            is_up = await started(supervisor, work, stopping)
        if is_up:
            await _tell(site, _own_ground(site), voice, work, stopping)
    finally:
        was_asked = stopping.is_set()
        stopping.set()
        with working("stopping…", quiet=voice.json), suppress(asyncio.CancelledError):
            await work
    if was_asked:
        raise KeyboardInterrupt


async def _against(folder: Path, plant: str, export: Path, voice: Voice) -> None:
    """The story on a site that somebody else started, and goes on running."""
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    site = await asyncio.to_thread(load_site, folder)
    configure_logging("demo", "error")
    host, port = _control_of(site, plant)
    endless = asyncio.create_task(asyncio.Event().wait(), name="the site of somebody else")
    try:
        await _tell(site, Ground(broker_url(site), host, port, export), voice, endless, stopping)
    finally:
        endless.cancel()
    if stopping.is_set():
        raise KeyboardInterrupt


def _control_of(site: Site, plant: str) -> tuple[str, int]:
    """Host and port of the plant's control. Raises: SettingsError."""
    host, _, port = plant.rpartition(":")
    if plant and not (host and port.isdecimal()):
        raise SettingsError(f"--plant is {plant!r}: write HOST:PORT", setting="plant")
    if plant:
        return host, int(port)
    running = read_running(site.folder)
    simulation = running.simulation if running else None
    found = simulation.control if simulation else site.settings.simulation.control_port
    if not found:
        raise SettingsError(
            f"{site.folder.settings} does not say where the simulated plant is controlled: give --plant "
            "HOST:PORT; the story needs a plant that can fail",
            setting="simulation.control_port",
        )
    return "127.0.0.1", found


def _made(folder: Path) -> Site:
    initialise(folder, front=False)
    return load_site(folder)


def _own_ground(site: Site) -> Ground:
    running = read_running(site.folder)
    assert running is not None
    assert running.simulation is not None
    return Ground(running.url, "127.0.0.1", running.simulation.control, site.folder.root / "export")


async def _tell(
    site: Site, ground: Ground, voice: Voice, work: asyncio.Task[Any], stopping: asyncio.Event
) -> None:
    async with AsyncExitStack() as stack:
        people = {name: await stack.enter_async_context(session_of(site, name)) for name in PEOPLE}
        story = Story(site, people, ground, voice)
        for number, (title, step) in enumerate(story.steps(), 1):
            voice.say(f"\n[bold cyan]{number}. {title}[/]", event="title", number=number, title=title)
            try:
                await _first(work, step(), stopping)
            except PlantOpsError as error:
                if stopping.is_set():
                    return
                raise Refused(
                    f"step {number} ({title}) did not come out as promised: {error.message}", reason="demo"
                ) from error
            if stopping.is_set():
                return


async def _first(work: asyncio.Task[Any], step: Awaitable[None], stopping: asyncio.Event) -> None:
    """Do a step while the site runs, or until somebody stops it.

    Raises: what ended the site, or the step's own error.
    """
    task = asyncio.ensure_future(step)
    stop: asyncio.Future[Any] = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait([task, work, stop], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        elif work.done() and not stopping.is_set():
            await work
            raise Refused("the site ended by itself", reason="demo")
    finally:
        for each in (task, stop):
            each.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)
