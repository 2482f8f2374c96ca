"""`plantops identity`: keys of persons. They stay with the person; the policy names their public parts."""

from __future__ import annotations

from typing import Annotated

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, out, print_json
from plantops.deployment.folder import SiteFolder
from plantops.deployment.initialise import make_identity
from plantops.events.base import is_token
from plantops.runtime.errors import SettingsError

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keys of persons."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The person's name: letters, digits, '-' and '_'.")],
    folder: Folder = DEMO_FOLDER,
    json: Json = False,
) -> None:
    """Make a signing key and a login for a person, and print what the policy needs."""
    if not is_token(name):
        raise SettingsError(f"name {name!r}: use letters, digits, '-' and '_'", setting="name")
    identity = SiteFolder(folder).identity(name, person=True)
    key, login = make_identity(identity)
    if json:
        print_json({"name": name, "keys": [key], "logins": [login], "folder": str(identity.folder)})
        return
    out.print(f"Keys of {name} are in {identity.folder}: give them to {name}, and to nobody else.")
    out.print("Add to policy/policy.json under principals, raise its revision, sign and activate it:")
    out.print(
        f'  "{name}": {{"kind": "person", "person": "{name}", "keys": ["{key}"], '
        f'"logins": ["{login}"], "roles": ["operator"]}}',
        soft_wrap=True,
    )
