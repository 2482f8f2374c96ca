"""`plantops identity`: keys of persons. They stay with the person; the policy names their public parts."""

from __future__ import annotations

from typing import Annotated

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, out, print_json, safe
from plantops.deployment.initialise import make_identity
from plantops.deployment.place import load_place
from plantops.events.base import is_token
from plantops.runtime.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help="Keys of persons.")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The person's name: letters, digits, '-' and '_'.")],
    folder: Folder = DEMO_FOLDER,
    json: Json = False,
) -> None:
    """Make a signing key and a login for a person, and print what the policy needs."""
    if not is_token(name):
        raise SettingsError(f"name {name!r}: use letters, digits, '-' and '_'", setting="name")
    identity = load_place(folder).folder.identity(name, person=True)
    key, login = make_identity(identity)
    if json:
        print_json({"name": name, "keys": [key], "logins": [login], "folder": str(identity.folder)})
        return
    out.print(f"Keys of {name} are in {identity.folder}: give them to {name}, and to nobody else.")
    out.print(
        "Add to policy/policy.json under principals, then `plantops policy revise`, `sign` and `activate`:"
    )
    out.print(
        safe(
            f'  "{name}": {{"kind": "person", "person": "{name}", "keys": ["{key}"], '
            f'"logins": ["{login}"], "roles": ["operator"]}}'
        ),
        soft_wrap=True,
    )
