"""`plantops secret`: the encrypted store for device passwords."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, out, print_json
from plantops.deployment.runner import passphrase
from plantops.deployment.site import load_site
from plantops.runtime.errors import SettingsError
from plantops.runtime.secrets import SecretStore

app = typer.Typer(no_args_is_help=True)


def _store(folder: Folder) -> SecretStore:
    site = load_site(folder)
    words = passphrase(site)
    if site.folder.secrets.exists():
        return SecretStore.open(site.folder.secrets, words)
    return SecretStore.create(site.folder.secrets, words)


@app.command(name="set")
def set_(
    name: Annotated[str, typer.Argument(help="How settings refer to it: secret:NAME.")],
    folder: Folder = DEMO_FOLDER,
) -> None:
    """Store a secret; its value is asked for, or read from standard input when that is no terminal."""
    if sys.stdin.isatty():
        value = str(typer.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True))
    else:
        value = sys.stdin.readline().rstrip("\n")
    if not value:
        raise SettingsError(f"no value was given for secret {name!r}", setting=name)
    _store(folder).set(name, value)
    out.print(f"stored; settings refer to it as secret:{name}")


@app.command(name="list")
def list_(folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """List the names of stored secrets, never their values."""
    names = _store(folder).names()
    if json:
        print_json(list(names))
    else:
        out.print("\n".join(names) or "none")
