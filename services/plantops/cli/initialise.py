"""`plantops init`: make a site folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plantops.cli.output import Json, out, print_json, working
from plantops.deployment.initialise import initialise


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Where the site shall live; must hold none yet.")],
    site: Annotated[str, typer.Option(help="Its name: letters, digits, '-' and '_'.")] = "demo",
    compose: Annotated[
        bool,
        typer.Option("--compose", help="For compose.yaml: its addresses and the secrets of its services."),
    ] = False,
    json: Json = False,
) -> None:
    """Make a site: files, a folder of keys per process, a first policy.

    What is made is the demo plant under the name that you give: a starting point to edit. The keys of the
    policy office and of the provisioners are in its office/ folder, which belongs off the running host.
    """
    with working("making the site…", quiet=json):
        made = initialise(folder, site=site, compose=compose)
    if json:
        print_json(
            {"folder": str(folder), "site": site, "identities": made.identities, "people": made.people}
        )
        return
    out.print(f"Made site [bold]{site}[/] in {folder}: {made.identities} identities.")
    out.print(f"Move {folder / 'office'} off this machine before it runs anything real.")
    if compose:
        out.print("Next: `docker compose up --wait`; docs/guides/compose.md says what stands where.")
    else:
        out.print(f"Next: edit plantops.toml, sources/ and model.toml, then `plantops up --folder {folder}`.")
