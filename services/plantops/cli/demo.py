"""`plantops demo`: a story on the simulated plant. Every step shows what really happened."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Annotated

import typer

from plantops.cli.output import out
from plantops.cli.session import run, session_of
from plantops.cli.story import Story
from plantops.deployment.initialise import initialise
from plantops.deployment.runner import stop_on_signals
from plantops.deployment.runtime_file import read_running
from plantops.deployment.site import load_site
from plantops.deployment.supervisor import Supervisor
from plantops.runtime.errors import Refused
from plantops.runtime.log import configure_logging


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="demo")(demo)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the site folder afterwards.")] = False,
) -> None:
    """Tell a newcomer what PlantOps does, on real protocols and a real broker."""
    folder = Path(tempfile.mkdtemp(prefix="plantops-demo-"))
    started = time.monotonic()
    try:
        run(_demo(folder / "site"))
    finally:
        if keep:
            out.print(f"The site is in {folder / 'site'}: try `plantops up --folder {folder / 'site'}`.")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    out.print(
        f"\n[bold green]The story took {time.monotonic() - started:.0f} s.[/] Start your own: `plantops up`"
    )


async def _demo(folder: Path) -> None:
    with out.status("Making a demo site with its own keys…"):
        initialise(folder)
    site = load_site(folder)
    configure_logging("demo", "error")
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    supervisor = Supervisor(site, stopping)
    work = asyncio.create_task(supervisor.run())
    try:
        with out.status("Starting broker, simulated plant and processes…"):
            await _first(work, supervisor.ready.wait())
        running = read_running(site.folder)
        assert running is not None
        assert running.simulation is not None
        async with AsyncExitStack() as stack:
            people = {
                name: await stack.enter_async_context(session_of(site, name))
                for name in ("alice", "bob", "carol")
            }
            story = Story(site, people, running)
            for number, (title, step) in enumerate(story.steps(), 1):
                out.print(f"\n[bold cyan]{number}. {title}[/]")
                await _first(work, step(), stopping)
    finally:
        stopping.set()
        with out.status("Stopping…"), suppress(asyncio.CancelledError):
            await work


async def _first(
    work: asyncio.Task[None], step: Awaitable[object], stopping: asyncio.Event | None = None
) -> None:
    """Do a step while the site runs. Raises: what ended the site, or the step's own error."""
    task = asyncio.ensure_future(step)
    waits: set[asyncio.Future[object]] = {task, work}  # type: ignore[arg-type]  # Future[None] is one
    stop = asyncio.ensure_future(stopping.wait()) if stopping else None
    if stop:
        waits.add(stop)  # type: ignore[arg-type]  # Future[bool] is one
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            if work.done():
                await work
            raise Refused("the demo was stopped", reason="stopped")
        await task
    finally:
        if stop:
            stop.cancel()
