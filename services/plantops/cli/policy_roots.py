"""`plantops policy root`: who may sign policies, from version to version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plantops.cli.office import policy_office
from plantops.cli.output import DEMO_FOLDER, Folder, Json, out, print_json, safe, table, working
from plantops.cli.session import run
from plantops.deployment.place import load_place
from plantops.deployment.policies import publish_policy, read_envelope, verify_envelope
from plantops.deployment.roots import (
    adopt,
    cosign_next,
    draft_path,
    draft_root,
    envelope_path,
    read,
    sign_next,
    standing_root,
)
from plantops.deployment.signatures import Count, count
from plantops.deployment.site import load_site
from plantops.ledger.keys import SigningKey, VerifyKey
from plantops.policy.document import POLICY_TYPE, RootRole, TrustRoot
from plantops.policy.roots import root_digest, verify_root
from plantops.runtime.errors import PolicyRejected

app = typer.Typer(no_args_is_help=True, help="Who may sign policies: the trust root and its next version.")

Keys = Annotated[list[Path] | None, typer.Option("--key", help="Keys (default: office/root.key).")]


@app.command()
def key(
    path: Annotated[Path, typer.Argument(help="Where to write it; nothing is overwritten.")],
    json: Json = False,
) -> None:
    """Make a key for one more holder, and print its public part for `root new --add`."""
    made = SigningKey.generate()
    made.save(path)
    if json:
        print_json({"path": str(path), "public": made.public.to_base64(), "keyid": made.keyid})
        return
    out.print(f"{safe(str(path))}: keep it with its holder alone, off every host that runs PlantOps.")
    out.print(f"public: {made.public.to_base64()}")


@app.command()
def new(
    folder: Folder = DEMO_FOLDER,
    *,
    add: Annotated[list[str] | None, typer.Option("--add", help="Public keys to add.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="Public keys to remove.")] = None,
    threshold: Annotated[
        int | None, typer.Option("--threshold", min=1, help="How many must sign (default: as now).")
    ] = None,
    signer: Annotated[
        list[str] | None,
        typer.Option("--signer", help="Public keys that sign roots, if not those that sign policies."),
    ] = None,
    signer_threshold: Annotated[
        int, typer.Option("--signer-threshold", min=1, help="How many of them must sign.")
    ] = 1,
    json: Json = False,
) -> None:
    """Write the next trust root, policy/root.next.json: the standing one with keys added and removed."""
    site = load_place(folder).folder
    signers = RootRole(keys=tuple(signer), threshold=signer_threshold) if signer else None
    root = draft_root(site, add=add or (), remove=remove or (), threshold=threshold, signers=signers)
    if json:
        print_json(root)
        return
    out.print(
        f"{safe(str(draft_path(site)))} is version {root.version}: "
        f"{root.policy.threshold} of {len(root.policy.keys)} keys sign policies."
    )
    out.print(
        "Enough signers of the standing root and of this one must sign it: `plantops policy root sign`."
    )


@app.command()
def sign(folder: Folder = DEMO_FOLDER, key: Keys = None, json: Json = False) -> None:
    """Sign the next trust root and write policy/root.next.dsse."""
    site = load_place(folder).folder
    counts = sign_next(site, [SigningKey.load(path) for path in (key or [site.root_key])])
    _tell(envelope_path(site), counts, json=json)


@app.command()
def cosign(
    envelope: Annotated[
        Path | None, typer.Argument(help="The envelope (default: policy/root.next.dsse).")
    ] = None,
    folder: Folder = DEMO_FOLDER,
    key: Keys = None,
    json: Json = False,
) -> None:
    """Add your signature to the next trust root."""
    site = load_place(folder).folder
    path = envelope or envelope_path(site)
    counts = cosign_next(site, path, [SigningKey.load(each) for each in (key or [site.root_key])])
    _tell(path, counts, json=json)


@app.command()
def publish(
    envelope: Annotated[
        Path | None, typer.Argument(help="The envelope (default: policy/root.next.dsse).")
    ] = None,
    folder: Folder = DEMO_FOLDER,
    json: Json = False,
) -> None:
    """Let the next trust root count: in this folder, and by the stream POLICY in every process.

    The signed policy must carry enough signatures of the new keys before (`plantops policy cosign`), so that
    no process is without a policy that it believes. Where nothing is left to do, what a broker lost is
    published again.
    """
    site = load_site(folder)
    path = envelope or envelope_path(site.folder)
    if envelope or path.exists():
        data = read(path)
        root, _digest = verify_root(data, standing_root(site.folder))
        _check_policy(read_envelope(site.folder), root)
        adopt(site.folder, data)
    with working("publishing…", quiet=json):
        run(_publish(folder))
    root = standing_root(site.folder)
    if json:
        print_json({"version": root.version, "digest": root_digest(root)})
    else:
        out.print(f"trust root version {root.version} counts, digest {root_digest(root)}")


def _check_policy(envelope: bytes, root: TrustRoot) -> None:
    signed = count(envelope, POLICY_TYPE, root.policy)
    if not signed.is_enough:
        raise PolicyRejected(
            f"the signed policy has {len(signed.signers)} of {signed.needed} signatures by keys of trust root"
            f" version {root.version}: let their holders `plantops policy cosign` it first"
        )


async def _publish(folder: Path) -> None:
    site = load_site(folder)
    verify_envelope(site.folder, read_envelope(site.folder))
    async with policy_office(site) as (bus, signer):
        await publish_policy(bus, signer, site.folder)


@app.command()
def show(folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """Show the trust root that counts in this folder, and the next one if it is being signed."""
    site = load_place(folder).folder
    root = standing_root(site)
    path = envelope_path(site)
    waiting = None
    if path.exists():
        try:
            waiting = verify_root(read(path), root)[0].version
        except PolicyRejected as error:
            out.print(f"next: {safe(str(error))}") if not json else None
    if json:
        print_json({"root": root, "digest": root_digest(root), "next_signed": waiting})
        return
    out.print(f"trust root of {root.site}, version {root.version}, digest {root_digest(root)}")
    rows = [("policies", root.policy), ("roots", root.signers)]
    table(
        "",
        ("signs", "threshold", "key id", "public key"),
        (
            (what, f"{role.threshold} of {len(role.keys)}", VerifyKey.from_base64(text).keyid, text)
            for what, role in rows
            for text in role.keys
        ),
    )
    if waiting is not None:
        out.print(f"version {waiting} is signed by enough: `plantops policy root publish`")


def _tell(path: Path, counts: tuple[Count, Count], *, json: bool) -> None:
    old, own = counts
    enough = old.is_enough and own.is_enough
    if json:
        print_json(
            {
                "path": str(path),
                "standing": {"signers": old.signers, "needed": old.needed},
                "own": {"signers": own.signers, "needed": own.needed},
                "enough": enough,
            }
        )
        return
    out.print(f"{safe(str(path))}: of the standing root's signers {old}; of its own {own}.")
    if enough:
        out.print("Cosign the policy with the new keys, then `plantops policy root publish`.")
    else:
        out.print(
            safe(f"Let others sign it: `plantops policy root cosign {path} --key KEY`."), soft_wrap=True
        )
