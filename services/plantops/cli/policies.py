"""`plantops policy`: write, sign, prove, show and publish what is allowed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer

from plantops.cli import policy_checks, policy_exchange, policy_roots, policy_signing
from plantops.cli.office import policy_office
from plantops.cli.output import DEMO_FOLDER, Folder, Json, out, print_json, table, working
from plantops.cli.session import run
from plantops.deployment.place import load_place
from plantops.deployment.policies import publish_policy, read_envelope, verify_envelope
from plantops.deployment.readiness import judged
from plantops.deployment.site import load_site
from plantops.policy.document import Policy
from plantops.runtime.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help="Write, sign, verify and publish what is allowed.")

for _command in (
    policy_signing.new,
    policy_signing.revise,
    policy_signing.sign,
    policy_signing.cosign,
    policy_checks.verify,
    policy_checks.diff,
):
    app.command()(_command)


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
    _show_governance(policy)


def _show_governance(policy: Policy) -> None:
    table(
        "limits",
        ("id", "applies to", "per", "calls", "concurrent", "drift"),
        (
            (
                each.id,
                ", ".join(each.applies),
                f"{each.per} in {each.window_seconds:g} s",
                "-" if each.calls is None else str(each.calls),
                "-" if each.concurrent is None else str(each.concurrent),
                ", ".join(f"{name} {most:g}" for name, most in each.drift.items()) or "-",
            )
            for each in policy.limits
        ),
    )
    table(
        "bypass classes",
        ("class", "permissives", "roles", "at most"),
        (
            (name, ", ".join(kind.permissives), ", ".join(kind.roles), f"{kind.max_seconds:g} s")
            for name, kind in policy.bypass_classes.items()
        ),
    )
    table(
        "revoked keys",
        ("key", "since", "reason"),
        ((each.key, each.since.isoformat(), each.reason) for each in policy.revoked),
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
    verified = verify_envelope(site.folder, read_envelope(site.folder), site.plant)
    check = judged(site, verified, datetime.now(UTC))
    if check.grade == "bad":
        raise SettingsError(f"{check.found}: {check.advice}")
    async with policy_office(site) as (bus, signer):
        return verified.policy.revision, await publish_policy(bus, signer, site.folder)


app.command(name="test")(policy_checks.prove)
app.command(name="import-twinops")(policy_exchange.import_twinops)
app.add_typer(policy_roots.app, name="root")
app.add_typer(policy_exchange.app, name="submodel")
