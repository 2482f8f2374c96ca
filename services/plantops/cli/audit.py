"""`plantops audit`: verify, show and export the record of what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plantops.audit.offline import verify_folder
from plantops.audit.records import read_records
from plantops.audit.trust import load_trust, save_trust
from plantops.cli.output import DEMO_FOLDER, Folder, Json, Voice, out, print_json, safe, table
from plantops.cli.proofs import auditor, export_site, site_trust, tell_offline, tell_online, verify_site
from plantops.cli.session import run
from plantops.deployment.place import load_place
from plantops.runtime.errors import Refused

app = typer.Typer(no_args_is_help=True, help="Prove what happened.")


@app.command()
def verify(
    folder: Folder = DEMO_FOLDER,
    export: Annotated[
        Path | None, typer.Option("--export", help="Verify this export offline, from its files alone.")
    ] = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", help="Public keys to trust (default: the site's policy).")
    ] = None,
    json: Json = False,
) -> None:
    """Check every record, every chain and every checkpoint; name the first bad record."""
    if export is not None:
        _verify_export(folder, export, trust, json=json)
        return
    report = run(verify_site(load_place(folder), quiet=json))
    if json:
        print_json(report)
    else:
        tell_online(report, Voice(json=False))
    if report.first_bad is not None:
        raise Refused(f"the audit does not verify: {report.first_bad.detail}", reason="audit")


def _verify_export(folder: Path, export: Path, trust: Path | None, *, json: bool) -> None:
    if not export.is_dir():
        raise Refused(
            f"{export} is no folder: give the one that `plantops audit export` wrote", reason="path"
        )
    known = load_trust(trust) if trust is not None else site_trust(load_place(folder))
    report = verify_folder(export, known)
    if json:
        print_json(
            {
                "size": report.size,
                "root": report.root.hex(),
                "checked": report.checked,
                "first_bad_index": report.first_bad_index,
                "findings": report.findings,
            }
        )
    else:
        tell_offline(report, Voice(json=False))
    if not report.ok:
        raise Refused(f"the export does not verify: {report.findings[0].detail}", reason="audit")


@app.command()
def show(
    folder: Folder = DEMO_FOLDER,
    last: Annotated[int, typer.Option("--last", "-n", help="How many, the newest last.")] = 20,
    writer: Annotated[str, typer.Option(help="Only records of this process.")] = "",
    command: Annotated[str, typer.Option(help="Only records of this command's identity.")] = "",
    json: Json = False,
) -> None:
    """Show the newest records."""
    run(_show(folder, last, writer, command, json=json))


async def _show(folder: Path, last: int, writer: str, command: str, *, json: bool) -> None:
    site = load_place(folder)
    async with auditor(site) as bus:
        shown = await read_records(
            bus,
            site=site.name,
            trusted=site_trust(site).trusted,
            last=last,
            writer=writer,
            command=command,
        )
    if json:
        print_json(
            [
                {
                    "index": one.index,
                    "writer": one.writer,
                    "stored_at": one.stored_at,
                    "record": one.record,
                    "finding": one.finding,
                }
                for one in shown
            ]
        )
        return
    table(
        "",
        ("record", "stored (UTC)", "writer", "number", "what", "command"),
        (
            (
                str(one.index),
                f"{one.stored_at:%Y-%m-%d %H:%M:%S}",
                one.writer,
                str(one.record.sequence) if one.record else "-",
                one.record.kind if one.record else f"[red]{one.finding.kind if one.finding else 'bad'}[/]",
                one.record.command if one.record else "-",
            )
            for one in shown
        ),
    )


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="A new folder.")],
    folder: Folder = DEMO_FOLDER,
    json: Json = False,
) -> None:
    """Write the log as C2SP tiles, for verification without us; beside it goes `trust.json`, which a
    verifier must get on another way."""
    site = load_place(folder)
    written = run(export_site(site, target, quiet=json))
    beside = target.with_name(f"{target.name}.trust.json")
    save_trust(site_trust(site), beside)
    if json:
        print_json(
            {"size": written.size, "root": written.root.hex(), "folder": str(target), "trust": str(beside)}
        )
    else:
        out.print(
            f"exported {written.size} records to {safe(str(target))}; "
            f"whose keys count is in {safe(str(beside))}",
            soft_wrap=True,
        )
