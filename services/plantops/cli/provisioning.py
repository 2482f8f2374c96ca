"""`plantops provision` and `plantops nats-config`: a broker that somebody else runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, JsonLines, Voice, out, print_json, safe
from plantops.cli.session import run
from plantops.deployment.broker import broker_url
from plantops.deployment.provisioning import prepare
from plantops.deployment.server_file import refuse_trial, server_text, write_server_file
from plantops.deployment.site import load_site
from plantops.flow.accounts import ServerOptions, ServerTls
from plantops.runtime.errors import SettingsError

Production = Annotated[
    bool, typer.Option("--production", help="Refuse the demo site, and a broker without TLS.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="provision")(provision)
    app.command(name="nats-config")(nats_config)


def provision(folder: Folder = DEMO_FOLDER, production: Production = False, json: JsonLines = False) -> None:
    """Make streams and consumers on the site's broker, and publish the signed policy.

    `plantops up` does the same by itself. It needs the office's keys, which no running process has. Doing it
    again changes nothing; what exists with other settings is refused by name.
    """
    site = load_site(folder)
    url = broker_url(site)
    if production:
        refuse_trial(site, url=url)
    voice = Voice(json=json)
    run(prepare(site, url, lambda text: voice.say(safe(text))))


def nats_config(
    *,
    folder: Folder = DEMO_FOLDER,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to replace (default: standard output).")
    ] = None,
    store: Annotated[
        Path, typer.Option(help="Where the server keeps its streams, as it sees the path.")
    ] = Path("/data"),
    host: Annotated[str, typer.Option(help="The address that clients reach.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port for clients.")] = 4222,
    monitor_port: Annotated[int, typer.Option(help="The monitoring port, on loopback.")] = 8222,
    certificate: Annotated[
        Path | None, typer.Option(help="The server's certificate (PEM), as it sees the path: TLS only.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The key of that certificate.")] = None,
    production: Production = False,
    json: Json = False,
) -> None:
    """Write the configuration of a NATS server of your own: accounts, logins, rights.

    It holds no secret. Make it again whenever the signed policy names other people, processes or logins, and
    let the server read it again (`nats-server --signal reload`).
    """
    if (certificate is None) != (key is None):
        raise SettingsError("--certificate and --key go together: give both or neither", setting="key")
    site = load_site(folder)
    options = ServerOptions(
        folder=store,
        port=port,
        monitor_port=monitor_port,
        host=host,
        name=f"plantops-{site.name}",
        logs_to_file=False,
        tls=ServerTls(certificate, key) if certificate and key else None,
    )
    if production:
        refuse_trial(site, url=options.url)
    text = server_text(site, options)
    _put(text, output, json=json)


def _put(text: str, output: Path | None, *, json: bool) -> None:
    """To the file if one is named, else to standard output."""
    is_new = output is None or write_server_file(output, text)
    if json:
        print_json(
            {"file": str(output or ""), "changed": is_new, "configuration": text if output is None else None}
        )
    elif output is None:
        typer.echo(text)
    else:
        told = "wrote {}: let the server read it again" if is_new else "{} says the same already"
        out.print(told.format(safe(str(output))), soft_wrap=True)
