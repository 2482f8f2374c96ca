"""`plantops audit prove`, `check-proof` and `archive`: evidence that outlives the site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from plantops.audit.offline import verify_folder
from plantops.audit.prove import Checked, check_proof, prove_from_folder, prove_live
from plantops.audit.trust import AuditTrust, load_trust, save_trust
from plantops.cli.output import DEMO_FOLDER, Folder, Json, Voice, out, print_json, safe
from plantops.cli.proofs import auditor, export_site, shown_progress, site_trust, tell_offline
from plantops.cli.session import run
from plantops.cli.witnesses import PolicyFile, Quorum, Trust, Witnesses, wanted_witnesses
from plantops.deployment.place import Place, load_place
from plantops.flow.checkpoints import key_name
from plantops.ledger import proof as proofs
from plantops.ledger.note import Kind, NoteKey
from plantops.ledger.proof import Proof
from plantops.runtime.errors import MalformedEnvelope, Refused, SettingsError

_KEY_PREFIX = "plantops/"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(prove)
    app.command(name="check-proof")(check)
    app.command()(archive)
    app.command()(keys)


def prove(
    record: Annotated[
        str, typer.Argument(metavar="RECORD|COMMAND", help="A record's number, or a command's identity.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file; of several records, one each.")],
    folder: Folder = DEMO_FOLDER,
    export: Annotated[Path | None, typer.Option("--export", help="Prove from this export.")] = None,
    json: Json = False,
) -> None:
    """Write a proof (C2SP tlog-proof) that the log holds a record.

    It is the record, its path through the tree, and the signed checkpoint. Whoever gets it needs nothing
    else of ours but the notary's key.
    """
    index, command = (int(record), "") if record.isascii() and record.isdigit() else (None, record)
    if export is not None:
        found = prove_from_folder(export, index=index, command=command)
    else:
        found = run(_proved(load_place(folder), index, command, quiet=json))
    files = [output if len(found) == 1 else _numbered(output, one.index) for one in found]
    for file, one in zip(files, found, strict=True):
        _write(file, proofs.encode(one))
    if json:
        print_json([{"index": one.index, "file": str(file)} for file, one in zip(files, found, strict=True)])
        return
    for file, one in zip(files, found, strict=True):
        out.print(f"record {one.index} is proved in {safe(str(file))}", soft_wrap=True)


async def _proved(site: Place, index: int | None, command: str, *, quiet: bool) -> list[Proof]:
    async with auditor(site) as bus:
        with shown_progress("proving", quiet=quiet) as progress:
            return await prove_live(bus, site=site.name, index=index, command=command, progress=progress)


def _numbered(path: Path, index: int) -> Path:
    return path.with_name(f"{path.stem}.{index}{path.suffix}")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error


def check(
    *,
    file: Annotated[Path, typer.Argument(help="What `plantops audit prove` wrote.")],
    key: Annotated[
        str, typer.Option("--key", help="The notary's verifier key (`plantops audit keys`).")
    ] = "",
    trust: Annotated[
        Path | None, typer.Option("--trust", help="The trust file instead: writers too.")
    ] = None,
    witness: Witnesses = None,
    quorum: Quorum = 0,
    witness_policy: PolicyFile = None,
    json: Json = False,
) -> None:
    """Check a proof offline, with the keys given here and nothing else."""
    known = _trust(key, trust)
    try:
        proof = proofs.decode(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    except MalformedEnvelope as error:
        raise Refused(f"{file}: {error.message}", reason="proof") from error
    checked = check_proof(proof, known, witnesses=wanted_witnesses(witness or (), quorum, witness_policy))
    if json:
        print_json(checked)
    else:
        _tell(checked)
    if not checked.ok:
        raise Refused(f"the proof does not hold: {checked.findings[0].detail}", reason="proof")


def _trust(key: str, trust: Path | None) -> AuditTrust:
    if trust is not None:
        return load_trust(trust)
    if not key:
        raise SettingsError("give --key or --trust: a proof brings no keys that could be believed")
    known = NoteKey.from_vkey(key)
    if known.kind is not Kind.TEXT or not known.name.startswith(_KEY_PREFIX):
        raise SettingsError(f"{key!r} is no notary's key: it must begin with {_KEY_PREFIX!r} and the site")
    site = known.name.removeprefix(_KEY_PREFIX)
    return AuditTrust(site=site, notaries=(known.key.to_base64(),), writers={})


def _tell(checked: Checked) -> None:
    for finding in checked.findings:
        out.print(f"  [red]{finding.kind}[/]: {safe(finding.detail)}", soft_wrap=True)
    if not checked.ok:
        return
    by = (
        "and its writer's signature"
        if checked.is_writer_checked
        else "(its writer's signature was not asked for)"
    )
    out.print(f"  [green]holds[/]: record {checked.index} of {checked.size} {by}", soft_wrap=True)
    if (record := checked.record) is not None:
        at = f"{record.at:%Y-%m-%d %H:%M:%S} UTC"
        out.print(f"  {safe(f'{at}, {record.writer}: {record.kind} {record.command}')}", soft_wrap=True)


def archive(
    target: Annotated[Path, typer.Argument(help="A new folder.")],
    folder: Folder = DEMO_FOLDER,
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Write the log up to its last checkpoint into an archive, and verify all of it.

    Nothing is taken from the running log. `plantops audit verify --archive` shows later that it extends it.
    """
    site = load_place(folder)
    known = load_trust(trust) if trust is not None else site_trust(site)
    run(export_site(site, target, quiet=json))
    save_trust(known, target.with_name(f"{target.name}.trust.json"))
    report = verify_folder(target, known)
    if json:
        print_json({"size": report.size, "root": report.root.hex(), "findings": report.findings})
    else:
        tell_offline(report, Voice(json=False))
        out.print(f"archived {report.size} records in {safe(str(target))}", soft_wrap=True)
    if not report.ok:
        raise Refused(f"the archive does not verify: {report.findings[0].detail}", reason="audit")


def verify_archive(folder: Path, trust: AuditTrust, voice: Voice) -> None:
    """An archive by itself, however old it is. Raises: Refused when it does not verify."""
    report = verify_folder(folder, trust)
    tell_offline(report, voice)
    if not report.ok:
        raise Refused(f"the archive does not verify: {report.findings[0].detail}", reason="audit")


def keys(folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """Print the verifier keys of the site's notary and witnesses, as a C2SP tlog-policy file."""
    site = load_place(folder)
    trust = site_trust(site)
    logs = [NoteKey(key_name(trust.site), key).to_vkey() for key in trust.notary_keys]
    if json:
        print_json({"logs": logs, "witnesses": trust.witnesses})
        return
    lines = [f"log {vkey}" for vkey in logs]
    names = [f"w{number}" for number in range(1, len(trust.witnesses) + 1)]
    lines += [f"witness {name} {vkey}" for name, vkey in zip(names, trust.witnesses, strict=True)]
    if names:
        lines.append(f"group all-of-them all {' '.join(names)}")
    sys.stdout.write("\n".join([*lines, f"quorum {'all-of-them' if names else 'none'}", ""]))
