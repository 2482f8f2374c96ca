"""`plantops status`: what runs, which sources answer, what waits, how the archive is."""

from __future__ import annotations

from pathlib import Path

import typer

from plantops.cli.doctor_archive import summary
from plantops.cli.output import DEMO_FOLDER, Folder, Json, User, out, print_json, safe, seconds, table
from plantops.cli.session import run, session
from plantops.deployment.runtime_file import read_running
from plantops.events.queries import CommandsAsked, CommandsListed, TwinListed


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="status")(status)


def status(folder: Folder = DEMO_FOLDER, user: User = "", json: Json = False) -> None:
    """Show processes, sources and open commands."""
    run(_status(folder, user, json))


async def _status(folder: Path, user: str, json: bool) -> None:
    async with session(folder, user, quiet=json) as here:
        listed = await here.ask("twin", "list", None, TwinListed)
        commands = await here.ask("command", "list", CommandsAsked(open_only=True), CommandsListed)
    running = read_running(here.site.folder)
    condition, told = summary(here.site)
    if json:
        print_json({"running": running, "twin": listed, "open_commands": commands, "archive": condition})
        return
    if running:
        names = ", ".join(f"{name} {pid}" for name, pid in sorted(running.processes.items()))
        out.print(f"site [bold]{here.site.name}[/], broker {running.url}, processes: {names}")
    out.print(f"archive: {safe(told)}")
    table(
        "sources",
        ("source", "state", "tags", "samples", "last frame", "gaps", "lost samples"),
        (
            (
                source.source,
                "[green]up[/]" if source.is_up else f"[red]down[/]: {source.cause}",
                str(source.tags),
                str(source.samples),
                seconds(source.age_seconds),
                str(source.gaps),
                str(source.lost_samples),
            )
            for source in listed.sources
        ),
    )
    table(
        "open commands",
        ("command", "asked", "by", "phase", "outcome"),
        (
            (c.handle, f"{c.asset}.{c.operation}", c.actor, c.phase, c.outcome or "-")
            for c in commands.commands
        ),
    )
