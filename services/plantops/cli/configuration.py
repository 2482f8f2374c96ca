"""`plantops config`: what the settings are, and who said so."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.text import Text

from plantops.cli.output import DEMO_FOLDER, Folder, Json, did_you_mean, out, print_json, table, visible
from plantops.deployment.effective import Effective, effective
from plantops.deployment.place import load_place
from plantops.runtime.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help="Show and check what plantops.toml and the environment say.")


@app.command()
def show(
    key: Annotated[str, typer.Argument(help="A key or a table only, such as gateway.tls.")] = "",
    folder: Folder = DEMO_FOLDER,
    json: Json = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is no default.")] = False,
) -> None:
    """Show each setting with its value and its source: default, file and line, or environment.

    Secrets are masked; references such as secret:NAME are shown.
    """
    found = _below(key, effective(load_place(folder)))
    shown = [one for one in found if not changed or one.source != "default"]
    if json:
        print_json(shown)
        return
    table("settings", ("key", "value", "source"), ((one.key, _value(one), _source(one)) for one in shown))


@app.command()
def check(folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """Check settings, sources and model of a site, and start nothing."""
    # Sources need the libraries of their protocols, which `show` does without.
    from plantops.deployment.site import load_site  # noqa: PLC0415

    site = load_site(folder)
    counts = {
        source: sum(one.source == source for one in effective(site)) for source in ("file", "environment")
    }
    if json:
        print_json({"site": site.name, "sources": list(site.sources), **counts})
    else:
        out.print(
            f"{site.name} is right: {counts['file']} settings from plantops.toml,"
            f" {counts['environment']} from the environment, sources {', '.join(site.sources)}",
            soft_wrap=True,
            markup=False,
        )


def _below(key: str, found: tuple[Effective, ...]) -> list[Effective]:
    below = [one for one in found if not key or one.key == key or one.key.startswith(f"{key}.")]
    if not below:
        known = {".".join(one.key.split(".")[:depth]) for one in found for depth in range(1, 9)}
        raise SettingsError(f"there is no setting {key!r}{did_you_mean(key, known)}", setting=key)
    return below


def _value(one: Effective) -> Text:
    return Text(
        visible(msgspec.json.encode(one.value).decode()), "dim" if one.source == "default" else "bold"
    )


def _source(one: Effective) -> Text:
    return Text(
        visible(f"environment {one.place}" if one.source == "environment" else one.place or "default")
    )
