"""`plantops policy verify|test|diff`: what an envelope, a document and a change are worth."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, out, print_json, safe, table
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.deployment.policy_files import policy_in
from plantops.deployment.roots import read, standing_root
from plantops.deployment.signatures import count
from plantops.deployment.site import Site, load_site
from plantops.policy.difference import Difference, difference
from plantops.policy.document import POLICY_TYPE
from plantops.policy.soundness import problems
from plantops.policy.vectors import Result, assumed, run_vectors
from plantops.policy.verify import Verified, status
from plantops.runtime.errors import PolicyRejected

File = Annotated[Path, typer.Argument(help="A document or an envelope.")]


def verify(
    envelope: Annotated[
        Path | None, typer.Argument(help="The envelope (default: policy/policy.dsse).")
    ] = None,
    folder: Folder = DEMO_FOLDER,
    json: Json = False,
) -> None:
    """Check the signed policy against the trust root on this machine, and its vectors on the model here."""
    site = load_site(folder)
    verified = verify_envelope(
        site.folder, read(envelope) if envelope else read_envelope(site.folder), site.plant
    )
    root = standing_root(site.folder)
    signed = count(verified.envelope, POLICY_TYPE, root.policy)
    now = status(verified, datetime.now(UTC))
    passed, why_not = _vectors_of(verified, site)
    if json:
        print_json(
            {
                "revision": verified.policy.revision,
                "digest": verified.digest,
                "status": now,
                "root_version": root.version,
                "signers": signed.signers,
                "threshold": signed.needed,
                "vectors": len(verified.policy.vectors),
                "vectors_passed": passed,
            }
        )
        return
    out.print(f"[green]valid[/]: revision {verified.policy.revision}, {now}, digest {verified.digest}")
    out.print(f"trust root version {root.version}: {signed}, by {', '.join(signed.signers)}", soft_wrap=True)
    out.print(f"vectors: {why_not or f'{passed} of {len(verified.policy.vectors)} hold'}")


def _vectors_of(verified: Verified, site: Site) -> tuple[int | None, str]:
    """How many hold: all, or it would not have been verified. None where the model is another one."""
    if verified.policy.model != site.plant.digest:
        return (
            None,
            f"not judged, it pins the model {verified.policy.model[:12]}, here is {site.plant.digest[:12]}",
        )
    return len(verified.policy.vectors), ""


def prove(
    file: Annotated[
        Path | None, typer.Argument(help="A document or an envelope (default: policy/policy.json).")
    ] = None,
    folder: Folder = DEMO_FOLDER,
    json: Json = False,
) -> None:
    """Run the decision vectors of a policy on the model here, signed or not. Exit code 1 when one fails."""
    site = load_site(folder)
    path = file or site.folder.policy_document
    policy = policy_in(path)
    if wrong := problems(policy):
        raise PolicyRejected(f"{path}: policy {policy.id!r} revision {policy.revision} {wrong[0]}")
    results = run_vectors(assumed(policy, site.plant), site.plant)
    if json:
        print_json(results)
    else:
        _show(results)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def _show(results: list[Result]) -> None:
    rows = (
        ("[green]holds[/]" if each.passed else "[red]fails[/]", safe(each.id), each.expect, safe(each.text))
        for each in results
    )
    table("vectors", ("", "vector", "expected", "what came"), rows)
    failed = sum(not each.passed for each in results)
    out.print(
        f"{len(results) - failed} of {len(results)} hold"
        if results
        else "a policy without vectors proves nothing"
    )


def diff(old: File, new: File, folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """Show what NEW changes for people against OLD: entries, rights, and decisions of both vectors.

    Signatures are not looked at. Decisions and rights are judged on the model here.
    """
    found = difference(policy_in(old), policy_in(new), load_site(folder).plant)
    if json:
        print_json(found)
        return
    for title, columns, rows in _tables(found):
        table(title, columns, rows)


def _tables(found: Difference) -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    yield (
        "entries",
        ("section", "name", "", "what"),
        [(each.section, safe(each.name), each.kind, safe(each.text)) for each in found.changes],
    )
    yield (
        "rights",
        ("principal", "", "operation"),
        [(safe(each.principal), each.kind, safe(each.operation)) for each in found.rights],
    )
    yield (
        "decisions",
        ("vector", "was", "will be"),
        [(safe(each.vector), safe(each.before), safe(each.after)) for each in found.decisions],
    )
