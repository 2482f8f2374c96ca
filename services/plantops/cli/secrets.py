"""`plantops secret`: the encrypted store for device passwords."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, out, print_json, working
from plantops.deployment.place import load_place
from plantops.deployment.secret_store import passphrase
from plantops.runtime.errors import SettingsError
from plantops.runtime.secrets import SecretStore

app = typer.Typer(no_args_is_help=True, help="The encrypted store for device passwords.")


def _store(folder: Folder) -> SecretStore:
    site = load_place(folder)
    words = passphrase(site)
    if site.folder.secrets.exists():
        return SecretStore.open(site.folder.secrets, words)
    return SecretStore.create(site.folder.secrets, words)


@app.command(name="set")
def set_(
    name: Annotated[str, typer.Argument(help="How settings refer to it: secret:NAME.")],
    folder: Folder = DEMO_FOLDER,
    json: Json = False,
) -> None:
    """Store a secret; its value is asked for, or read from standard input when that is no terminal."""
    if sys.stdin.isatty():
        value = str(typer.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True))
    else:
        value = sys.stdin.readline().rstrip("\n")
    if not value:
        raise SettingsError(f"no value was given for secret {name!r}", setting=name)
    with working("deriving the key of the store…", quiet=json):
        _store(folder).set(name, value)
    if json:
        print_json({"name": name, "reference": f"secret:{name}"})
    else:
        out.print(f"stored; settings refer to it as secret:{name}")


@app.command(name="list")
def list_(folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """List the names of stored secrets, never their values."""
    with working("deriving the key of the store…", quiet=json):
        names = _store(folder).names()
    if json:
        print_json(list(names))
    else:
        out.print("\n".join(names) or "none")
