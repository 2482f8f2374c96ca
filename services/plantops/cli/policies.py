"""`plantops policy`: sign, verify, show and publish what is allowed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, out, print_json, table
from plantops.cli.session import run
from plantops.deployment.folder import Identity, SiteFolder
from plantops.deployment.identities import POLICY_OFFICE
from plantops.deployment.policies import publish_policy, read_envelope, sign_policy, verify_envelope
from plantops.deployment.runner import broker_url
from plantops.deployment.site import load_site
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.policy.document import Policy
from plantops.policy.verify import status
from plantops.runtime.nkey import NKey

app = typer.Typer(no_args_is_help=True)


@app.command()
def sign(
    folder: Folder = DEMO_FOLDER,
    key: Annotated[
        list[Path] | None, typer.Option("--key", help="Root keys (default: office/root.key).")
    ] = None,
    json: Json = False,
) -> None:
    """Sign policy/policy.json as it stands and write policy/policy.dsse."""
    site = SiteFolder(folder)
    keys = [SigningKey.load(path) for path in (key or [site.root_key])]
    verified = verify_envelope(site, sign_policy(site, keys))
    told = {"revision": verified.policy.revision, "digest": verified.digest, "signatures": len(keys)}
    if json:
        print_json(told)
    else:
        out.print(f"Signed revision {told['revision']}, digest {verified.digest}: activate it next.")


@app.command()
def verify(folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """Check the signed policy against the trust root on this machine."""
    site = SiteFolder(folder)
    verified = verify_envelope(site, read_envelope(site))
    now = status(verified, datetime.now(UTC))
    if json:
        print_json({"revision": verified.policy.revision, "digest": verified.digest, "status": now})
    else:
        out.print(f"[green]valid[/]: revision {verified.policy.revision}, {now}, digest {verified.digest}")


@app.command()
def show(folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """Show who counts, what each may ask, and what must be true before a write."""
    site = SiteFolder(folder)
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
def activate(folder: Folder = DEMO_FOLDER) -> None:
    """Publish the signed policy; every process verifies it by itself and follows."""
    run(_activate(folder))


async def _activate(folder: Path) -> None:
    site = load_site(folder)
    office = Identity(site.folder.office / POLICY_OFFICE)
    bus = await JetStreamBus.connect(broker_url(site), POLICY_OFFICE, seed=NKey.load(office.login).seed)
    try:
        signer = Signer(POLICY_OFFICE, SigningKey.load(office.signing))
        is_new = await publish_policy(bus, signer, site.folder)
    finally:
        await bus.close()
    out.print("published" if is_new else "this policy is the last one on the stream already")
