"""`plantops policy submodel|import-twinops`: policies from and for other systems."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, err, out, print_json, safe
from plantops.deployment.new_policy import skeleton
from plantops.deployment.place import load_place
from plantops.deployment.policies import (
    keep_envelope,
    read_envelope,
    verify_envelope,
    write_document,
)
from plantops.deployment.roots import read, standing_root
from plantops.deployment.site import Site, load_site
from plantops.deployment.twinops_policy import import_twinops as carried_over
from plantops.policy.soundness import problems
from plantops.policy.verify import Verified, verify_policy
from plantops.runtime.errors import PolicyRejected, SettingsError

app = typer.Typer(
    no_args_is_help=True, help="The signed policy as a submodel of an Asset Administration Shell."
)

ShellFile = Annotated[Path, typer.Argument(help="A file that ends with .json, .xml or .aasx.")]


@app.command()
def write(
    file: ShellFile,
    folder: Folder = DEMO_FOLDER,
    json: Json = False,
) -> None:
    """Write the signed policy as a submodel: the envelope, and nothing that anybody should trust."""
    # Only these two commands need the AAS library, and only they shall wait for it.
    from plantops.deployment.policy_submodel import write_submodel  # noqa: PLC0415

    site = load_place(folder)
    verified = verify_envelope(site.folder, read_envelope(site.folder))
    write_submodel(file, verified.envelope, site.name)
    if json:
        print_json({"path": str(file), "revision": verified.policy.revision, "digest": verified.digest})
    else:
        out.print(f"{safe(str(file))} holds revision {verified.policy.revision}, digest {verified.digest}")


@app.command(name="read")
def read_(
    file: ShellFile,
    folder: Folder = DEMO_FOLDER,
    take: Annotated[bool, typer.Option("--take", help="Make it this folder's signed policy.")] = False,
    json: Json = False,
) -> None:
    """Verify the policy in a submodel, by the trust root on this machine and upon the signed policy here.

    Keys and signatures that stand beside it are ignored. With --take it becomes policy/policy.dsse.
    """
    from plantops.deployment.policy_submodel import read_submodel  # noqa: PLC0415

    site = load_site(folder)
    found = read_submodel(file)
    verified = _verified(site, found.envelope, file)
    if take:
        keep_envelope(site.folder, found.envelope, site.plant)
    told = {
        "revision": verified.policy.revision,
        "digest": verified.digest,
        "ignored": found.ignored,
        "taken": take,
    }
    if json:
        print_json(told)
        return
    out.print(f"[green]valid[/]: revision {verified.policy.revision}, digest {verified.digest}")
    if found.ignored:
        out.print(safe(f"ignored beside it: {', '.join(found.ignored)}"))
    if take:
        out.print(safe(f"It is the signed policy here now; `plantops policy activate --folder {folder}`."))


def _verified(site: Site, envelope: bytes, file: Path) -> Verified:
    """Valid now, and upon what is signed here. Raises: PolicyRejected."""
    standing = None
    if site.folder.policy_envelope.exists():
        standing = verify_envelope(site.folder, read_envelope(site.folder), site.plant)
    try:
        return verify_policy(
            envelope,
            standing_root(site.folder),
            site=site.name,
            now=datetime.now(UTC),
            in_force=standing,
            plant=site.plant,
        )
    except PolicyRejected as error:
        raise PolicyRejected(
            f"{file}: {error} (only keys of the trust root here count, whatever keys the shell names)",
            digest=error.digest,
        ) from error


def import_twinops(
    file: Annotated[Path, typer.Argument(help="The value of PolicyJson, as a file.")],
    folder: Folder = DEMO_FOLDER,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write the document; must not exist.")
    ] = Path("twinops-policy.json"),
    bind: Annotated[
        list[str] | None,
        typer.Option("--bind", help="SUBMODEL#PATH=asset.property, for what interlocks look at."),
    ] = None,
    json: Json = False,
) -> None:
    """Write a TwinOps policy as a document for this site, and tell what could not be carried over.

    Its interlocks become positive preconditions; what is missing there denies here.
    """
    site = load_site(folder)
    if output.exists():
        raise SettingsError(f"{output} exists: name another file with --output")
    standing = None
    if site.folder.policy_envelope.exists():
        standing = verify_envelope(site.folder, read_envelope(site.folder))
    base = skeleton(site, datetime.now(UTC), standing=standing, moc=f"imported from {file.name}")
    imported = carried_over(read(file), base, site.plant, dict(_bound(text) for text in bind or ()))
    if wrong := problems(imported.policy):
        raise SettingsError(f"{file}: what comes of it {wrong[0]}")
    write_document(output, imported.policy)
    if json:
        print_json({"path": str(output), "revision": imported.policy.revision, "told": imported.told})
        return
    for line in imported.told:
        err.print(safe(f"- {line}"), soft_wrap=True)
    out.print(
        f"{safe(str(output))} is revision {imported.policy.revision}; look at what is told before you use it."
    )


def _bound(text: str) -> tuple[str, str]:
    place, separator, property_ = text.rpartition("=")
    if not separator or "#" not in place:
        raise SettingsError(f"--bind {text!r}: write SUBMODEL#PATH=asset.property", setting="bind")
    return place, property_
