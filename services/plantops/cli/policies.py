"""`plantops policy`: sign, verify, show and publish what is allowed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, out, print_json, safe, table, working
from plantops.cli.session import CONNECT_SECONDS, run
from plantops.deployment.broker import connect
from plantops.deployment.folder import Identity
from plantops.deployment.identities import POLICY_OFFICE
from plantops.deployment.place import load_place
from plantops.deployment.policies import (
    publish_policy,
    read_envelope,
    revise_policy,
    sign_policy,
    verify_envelope,
)
from plantops.deployment.readiness import judged
from plantops.deployment.site import load_site
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.policy.document import Policy
from plantops.policy.verify import status
from plantops.runtime.errors import SettingsError
from plantops.runtime.nkey import NKey

app = typer.Typer(no_args_is_help=True, help="Revise, sign, verify and publish what is allowed.")


@app.command()
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


@app.command()
def sign(
    folder: Folder = DEMO_FOLDER,
    key: Annotated[
        list[Path] | None, typer.Option("--key", help="Root keys (default: office/root.key).")
    ] = None,
    json: Json = False,
) -> None:
    """Sign policy/policy.json as it stands and write policy/policy.dsse."""
    site = load_place(folder).folder
    keys = [SigningKey.load(path) for path in (key or [site.root_key])]
    verified = verify_envelope(site, sign_policy(site, keys))
    told = {"revision": verified.policy.revision, "digest": verified.digest, "signatures": len(keys)}
    if json:
        print_json(told)
    else:
        out.print(f"Signed revision {told['revision']}, digest {verified.digest}.")
        there = safe(f"plantops policy activate --folder {folder}")
        out.print(f"A running site takes it by `{there}`.", soft_wrap=True)


@app.command()
def verify(folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """Check the signed policy against the trust root on this machine."""
    site = load_place(folder).folder
    verified = verify_envelope(site, read_envelope(site))
    now = status(verified, datetime.now(UTC))
    if json:
        print_json({"revision": verified.policy.revision, "digest": verified.digest, "status": now})
    else:
        out.print(f"[green]valid[/]: revision {verified.policy.revision}, {now}, digest {verified.digest}")


@app.command()
def show(folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """Show who counts, what each may ask, and what must be true before a write."""
    site = load_place(folder).folder
    policy = verify_envelope(site, read_envelope(site)).policy
    if json:
        print_json(policy)
        return
    _show(policy)


def _show(policy: Policy) -> None:
    out.print(
        f"[bold]{policy.id}[/] revision {policy.revision} for site {policy.audience}, "
        f"valid until {policy.expires:%Y-%m-%d %H:%M} UTC"
    )
    table(
        "principals",
        ("name", "kind", "person", "roles"),
        ((name, p.kind, p.person or "-", ", ".join(p.roles) or "-") for name, p in policy.principals.items()),
    )
    table(
        "roles",
        ("role", "operations"),
        ((name, ", ".join(role.operations) or "nothing") for name, role in policy.roles.items()),
    )
    table(
        "operations",
        ("operation", "risk", "direction", "approvals"),
        (
            (
                name,
                rule.risk or "as the model says",
                "safe" if rule.safe_direction else "normal",
                f"{rule.approvals} of {', '.join(rule.approval_roles)}" if rule.approval_roles else "-",
            )
            for name, rule in policy.operations.items()
        ),
    )
    table(
        "permissives",
        ("id", "applies to", "what must be true"),
        ((each.id, ", ".join(each.applies), each.text) for each in policy.permissives),
    )


@app.command()
def activate(folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """Publish the signed policy; every process verifies it by itself and follows."""
    with working("publishing…", quiet=json):
        revision, is_new = run(_activate(folder))
    if json:
        print_json({"revision": revision, "published": is_new})
    elif is_new:
        out.print(f"published revision {revision}")
    else:
        out.print(f"revision {revision} is the last one on the stream already")


async def _activate(folder: Path) -> tuple[int, bool]:
    """The revision, and whether it was put on the stream now. Raises: SettingsError, PolicyRejected."""
    site = load_site(folder)
    verified = verify_envelope(site.folder, read_envelope(site.folder))
    check = judged(site, verified, datetime.now(UTC))
    if check.grade == "bad":
        raise SettingsError(f"{check.found}: {check.advice}")
    office = Identity(site.folder.office / POLICY_OFFICE)
    bus = await connect(site, POLICY_OFFICE, NKey.load(office.login), wait=CONNECT_SECONDS)
    try:
        signer = Signer(POLICY_OFFICE, SigningKey.load(office.signing))
        return verified.policy.revision, await publish_policy(bus, signer, site.folder)
    finally:
        await bus.close()
