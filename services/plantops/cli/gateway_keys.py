"""`plantops gateway`: keys of machines that ask over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, did_you_mean, out, print_json, safe, table
from plantops.deployment.place import load_place
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.gateway.identity import api_keys
from plantops.runtime.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help="API keys of machines that ask over HTTP.")
keys = typer.Typer(no_args_is_help=True, help="Make, list and take away API keys.")
app.add_typer(keys, name="key")


def _file(folder: Path) -> Path:
    place = load_place(folder)
    settings = place.settings.gateway.api_keys
    if not settings.enabled:
        raise SettingsError(
            "API keys are switched off: set enabled = true in [gateway.api_keys]",
            setting="gateway.api_keys.enabled",
        )
    return place.folder.root / settings.file


@keys.command()
def new(
    principal: Annotated[str, typer.Argument(help="Who asks with it, as the policy names him.")],
    folder: Folder = DEMO_FOLDER,
    days: Annotated[
        float | None, typer.Option(help="For how many days it counts (default: for ever).")
    ] = None,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    json: Json = False,
) -> None:
    """Make an API key; it is shown this once, and only its hash is kept."""
    file = _file(folder)
    place = load_place(folder)
    known = verify_envelope(place.folder, read_envelope(place.folder)).policy.principals
    if principal not in known:
        raise SettingsError(
            f"the signed policy has no principal {principal!r}{did_you_mean(principal, list(known))}:"
            " add it there first",
            setting="principal",
        )
    text, key = api_keys.make(file, principal, days=days, note=note)
    if json:
        print_json({"id": key.id, "principal": principal, "key": text, "expires_at": key.expires_at})
        return
    out.print(f"[bold]{text}[/]", soft_wrap=True)
    until = f"until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else "until it is revoked"
    out.print(f"counts as {safe(principal)} {until}; it is not shown again. Send it as X-API-Key.")


@keys.command(name="list")
def list_(folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """List the API keys, never their text."""
    found = api_keys.listed(_file(folder))
    if json:
        fields = ("id", "principal", "made_at", "expires_at", "note")
        print_json([{name: getattr(key, name) for name in fields} for key in found])
        return
    table(
        "API keys",
        ("id", "principal", "made", "until", "note"),
        (
            (
                key.id,
                safe(key.principal),
                f"{key.made_at:%Y-%m-%d %H:%M}",
                f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "-",
                safe(key.note),
            )
            for key in found
        ),
    )


@keys.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `key list` shows it.")],
    folder: Folder = DEMO_FOLDER,
    json: Json = False,
) -> None:
    """Take an API key away; a running gateway refuses it within a second."""
    key = api_keys.revoke(_file(folder), name)
    if json:
        print_json({"id": key.id, "principal": key.principal})
    else:
        out.print(f"revoked the key {key.id} of {safe(key.principal)}")
