"""`plantops audit`: verify, show and export the record of what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plantops.audit.offline import Depth
from plantops.audit.records import read_records
from plantops.audit.trust import AuditTrust, load_trust, save_trust
from plantops.cli import audit_records
from plantops.cli.audit_records import verify_archive
from plantops.cli.output import DEMO_FOLDER, Folder, Json, Voice, out, print_json, safe, table
from plantops.cli.proofs import auditor, export_site, site_trust, tell_offline, tell_online, verify_site
from plantops.cli.remembering import keep_seen, refuse_older, verify_files
from plantops.cli.session import run
from plantops.cli.witnesses import PolicyFile, Quorum, Trust, Witnesses, wanted_witnesses
from plantops.deployment.place import load_place
from plantops.ledger.witnesses import WitnessPolicy
from plantops.runtime.errors import Refused

app = typer.Typer(no_args_is_help=True, help="Prove what happened.")
audit_records.register(app)


@app.command()
def verify(
    *,
    folder: Folder = DEMO_FOLDER,
    export: Annotated[
        Path | None, typer.Option("--export", help="Verify this export offline, from its files alone.")
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option("--archive", help="Verify this archive, and that the running log extends it."),
    ] = None,
    trust: Trust = None,
    witness: Witnesses = None,
    quorum: Quorum = 0,
    witness_policy: PolicyFile = None,
    tree_only: Annotated[
        bool,
        typer.Option("--tree-only", help="Of an export: tree and checkpoint, not each record's signature."),
    ] = False,
    json: Json = False,
) -> None:
    """Check every record, every chain and every checkpoint; name the first bad record.

    What was verified is remembered, and a log that is shorter or another one the next time is refused.
    """
    asked = wanted_witnesses(witness or (), quorum, witness_policy)
    if export is not None:
        _verify_export(folder, export, trust, asked, depth="tree" if tree_only else "records", json=json)
        return
    if archive is not None:
        verify_archive(archive, _known(folder, trust), Voice(json=json))
    site = load_place(folder)
    report = run(verify_site(site, quiet=json, archive=archive, witnesses=asked))
    if json:
        print_json(report)
    else:
        tell_online(report, Voice(json=False))
    if report.first_bad is not None:
        raise Refused(f"the audit does not verify: {report.first_bad.detail}", reason="audit")


def _verify_export(
    folder: Path,
    export: Path,
    trust: Path | None,
    witnesses: WitnessPolicy | None,
    *,
    depth: Depth,
    json: bool,
) -> None:
    if not export.is_dir():
        raise Refused(
            f"{export} is no folder: give the one that `plantops audit export` wrote", reason="path"
        )
    report = verify_files(export, _known(folder, trust), depth=depth, witnesses=witnesses)
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


def _known(folder: Path, trust: Path | None) -> AuditTrust:
    return load_trust(trust) if trust is not None else site_trust(load_place(folder))


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
        await refuse_older(bus, site)
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
    keep_seen(target, site_trust(site))
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
