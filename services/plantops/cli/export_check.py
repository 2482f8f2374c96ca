"""`plantops export FOLDER --verify`: whether files are as they were written, and their manifests audited."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from plantops.archive.export_manifest import read_export
from plantops.archive.manifest import KIND, Told, numbers
from plantops.archive.manifest_check import ManifestFinding, verify_export, verify_manifests
from plantops.archive.specs import ARCHIVE
from plantops.audit.records import read_records
from plantops.cli.output import out, print_json, safe
from plantops.cli.proofs import auditor, shown_progress, site_trust
from plantops.cli.session import run
from plantops.deployment.place import Place
from plantops.runtime.errors import BrokerError, Refused, SettingsError

_EVERY: Final = 1 << 62


def verify(site: Place, target: Path, *, json: bool) -> None:
    """Check an export, or the archive's own Parquet folder; that one is held against AUDIT while it answers.

    Raises: Refused with the first finding, or when the folder is none of these.
    """
    exported = read_export(target)
    away = ""
    if exported is not None:
        with shown_progress("checking", quiet=json) as progress:
            findings = list(verify_export(target, exported, progress=progress))
    elif numbers(target):
        audited, away = _audited(site)
        with shown_progress("checking", quiet=json) as progress:
            findings = list(verify_manifests(target, audited, progress=progress))
    else:
        raise Refused(f"{target} holds neither an export nor manifests of Parquet files", reason="path")
    _tell(findings, away, json=json)
    if findings:
        first = findings[0]
        raise Refused(f"{first.path} is {first.kind}: {first.detail}", reason="changed")


def _audited(site: Place) -> tuple[list[tuple[int, str]] | None, str]:
    """What the archive told AUDIT, signed; or why AUDIT could not be asked: it is away, or its keys are."""
    try:
        return run(_of_audit(site)), ""
    except (BrokerError, SettingsError) as error:
        return None, error.message


async def _of_audit(site: Place) -> list[tuple[int, str]]:
    async with auditor(site) as bus:
        shown = await read_records(
            bus, site=site.name, trusted=site_trust(site).trusted, last=_EVERY, writer=ARCHIVE
        )
    bodies = [one.record.body for one in shown if one.record is not None and one.record.kind == KIND]
    told = [msgspec.json.decode(body, type=Told) for body in bodies]
    return [(one.number, one.digest) for one in told]


def _tell(findings: list[ManifestFinding], away: str, *, json: bool) -> None:
    if json:
        print_json({"ok": not findings, "not_held_against_audit": away, "findings": findings})
        return
    if away:
        out.print(f"[yellow]not held against AUDIT[/]: {safe(away)}", soft_wrap=True)
    for one in findings:
        out.print(f"[red]{one.kind}[/] {safe(one.path)}: {safe(one.detail)}", soft_wrap=True)
    if not findings:
        out.print("[green]verified[/]: every file is as it was written")
