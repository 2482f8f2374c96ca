"""`plantops identity`: new keys. A person's stay with the person; the policy names their public parts."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, out, print_json, safe
from plantops.deployment.initialise import make_identity
from plantops.deployment.place import load_place
from plantops.events.base import is_token
from plantops.policy.document import Principal
from plantops.runtime.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help="Keys of persons and of new sources.")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The person's name: letters, digits, '-' and '_'.")],
    folder: Folder = DEMO_FOLDER,
    source: Annotated[
        bool, typer.Option("--source", help="Keys for the adapter of a new source NAME, not for a person.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a signing key and a login, and print what the policy needs."""
    if not is_token(name):
        raise SettingsError(f"name {name!r}: use letters, digits, '-' and '_'", setting="name")
    name = f"adapter-{name.removeprefix('adapter-')}" if source else name
    identity = load_place(folder).folder.identity(name, person=not source)
    key, login = make_identity(identity)
    if json:
        print_json({"name": name, "keys": [key], "logins": [login], "folder": str(identity.folder)})
        return
    if source:
        principal = Principal(kind="process", keys=(key,), logins=(login,), roles=("executor",))
        out.print(f"Keys of {name} are in {identity.folder}; only its host needs them.")
    else:
        principal = Principal(kind="person", person=name, keys=(key,), logins=(login,), roles=("operator",))
        out.print(f"Keys of {name} are in {identity.folder}: give them to {name}, and to nobody else.")
    out.print(
        "Add to policy/policy.json under principals, then `plantops policy revise`, `sign` and `activate`:"
    )
    out.print(safe(f'  "{name}": {msgspec.json.encode(principal).decode()}'), soft_wrap=True)
