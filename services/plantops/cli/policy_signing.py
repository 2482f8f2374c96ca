"""`plantops policy new|revise|sign|cosign`: write a document, and put names under it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, out, print_json, safe
from plantops.deployment.folder import SiteFolder
from plantops.deployment.new_policy import skeleton
from plantops.deployment.place import load_place
from plantops.deployment.policies import (
    begin_policy,
    cosign_policy,
    partial_envelope,
    read_envelope,
    revise_policy,
    verify_envelope,
    write_document,
)
from plantops.deployment.signatures import Count
from plantops.deployment.site import load_site
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import SettingsError

Keys = Annotated[list[Path] | None, typer.Option("--key", help="Root keys (default: office/root.key).")]


def new(
    folder: Folder = DEMO_FOLDER,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it (default: policy/policy.json).")
    ] = None,
    moc: Annotated[str, typer.Option("--moc", help="Why: the management-of-change record.")] = "",
    json: Json = False,
) -> None:
    """Write a document for this site from its model, in which nobody may do anything.

    It names the processes with their keys, every operation with its risk, and a vector for each. Enter
    people, roles, safe directions and permissives; docs/guides/policy.md explains every field. A file that
    exists is not overwritten.
    """
    site = load_site(folder)
    path = output or site.folder.policy_document
    if path.exists():
        raise SettingsError(f"{path} exists: name another file with --output, or change it by hand")
    standing = None
    if site.folder.policy_envelope.exists():
        standing = verify_envelope(site.folder, read_envelope(site.folder))
    policy = skeleton(site, datetime.now(UTC), standing=standing, moc=moc)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_document(path, policy)
    if json:
        print_json({"path": str(path), "revision": policy.revision, "operations": len(policy.operations)})
        return
    out.print(
        f"{safe(str(path))} is revision {policy.revision}: {len(policy.operations)} operations, nobody may."
    )
    out.print("Enter people, roles, safe directions and permissives, then `plantops policy test` and `sign`.")


def revise(
    folder: Folder = DEMO_FOLDER,
    moc: Annotated[str, typer.Option("--moc", help="Why: the management-of-change record.")] = "",
    json: Json = False,
) -> None:
    """Make policy/policy.json the next revision: revision, previous, model digest and times are set anew.

    Everything else stays as it stands in the file, so edit that before or after. Then sign it, and activate
    it when the site runs. Activate one revision before you sign the next: each follows the one in force.
    """
    site = load_site(folder)
    policy = revise_policy(site.folder, site.plant.digest, datetime.now(UTC), moc=moc)
    if json:
        print_json({"revision": policy.revision, "previous": policy.previous, "model": policy.model})
        return
    out.print(
        f"{site.folder.policy_document} is revision {policy.revision} now, for the model {policy.model[:12]}."
    )
    out.print(f"Edit what else shall change, then `plantops policy sign --folder {folder}`.")


def sign(folder: Folder = DEMO_FOLDER, key: Keys = None, json: Json = False) -> None:
    """Sign policy/policy.json as it stands and write policy/policy.dsse.

    It must make sense and hold its vectors. Where the trust root asks for more signatures than you give,
    it waits in policy/policy.partial.dsse for `plantops policy cosign`, and what was signed before stays.
    """
    site = load_site(folder)
    path, signed = begin_policy(site.folder, _keys(site.folder, key), site.plant)
    _tell(site.folder, path, signed, folder, json=json)


def cosign(
    envelope: Annotated[
        Path | None,
        typer.Argument(help="The envelope (default: policy/policy.partial.dsse, else policy/policy.dsse)."),
    ] = None,
    folder: Folder = DEMO_FOLDER,
    key: Keys = None,
    json: Json = False,
) -> None:
    """Add your signature to an envelope that somebody else signed: look at it first with `policy diff`.

    With enough signatures the waiting policy becomes policy/policy.dsse. Holders of keys of the next trust
    root may sign beforehand.
    """
    place = load_place(folder)
    waiting = partial_envelope(place.folder)
    path = envelope or (waiting if waiting.exists() else place.folder.policy_envelope)
    plant = load_site(folder).plant if path == waiting else None
    path, signed = cosign_policy(place.folder, path, _keys(place.folder, key), plant)
    _tell(place.folder, path, signed, folder, json=json)


def _keys(site: SiteFolder, given: list[Path] | None) -> list[SigningKey]:
    return [SigningKey.load(path) for path in (given or [site.root_key])]


def _tell(site: SiteFolder, path: Path, signed: Count, folder: Path, *, json: bool) -> None:
    told: dict[str, Any] = {
        "path": str(path),
        "signers": signed.signers,
        "signatures": len(signed.signers),
        "needed": signed.needed,
        "enough": signed.is_enough,
    }
    if path == site.policy_envelope and signed.is_enough:
        verified = verify_envelope(site, read_envelope(site))
        told |= {"revision": verified.policy.revision, "digest": verified.digest}
    if json:
        print_json(told)
    elif "digest" in told:
        out.print(f"Signed revision {told['revision']}, digest {told['digest']}: {signed}.")
        out.print(
            safe(f"A running site takes it by `plantops policy activate --folder {folder}`."), soft_wrap=True
        )
    else:
        out.print(f"{safe(str(path))}: {signed}.")
        if not signed.is_enough:
            out.print(safe(f"Let others sign it: `plantops policy cosign {path} --key KEY`."), soft_wrap=True)
