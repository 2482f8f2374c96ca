"""`plantops replay`: the archive made again from the log, its digests, and whether it is the signed log."""

from __future__ import annotations

from dataclasses import replace as replaced
from pathlib import Path
from typing import Annotated

import typer

from plantops.archive.proving import Proof
from plantops.archive.replay import Wanted
from plantops.archive.specs import AUDIT_STREAMS, PLANT_STREAMS
from plantops.audit.trust import AuditTrust, load_trust
from plantops.cli.moments import moment
from plantops.cli.output import DEMO_FOLDER, Folder, Json, did_you_mean, out, print_json, safe, some, table
from plantops.cli.proofs import site_trust
from plantops.cli.replaying import (
    REPLAYED,
    Replayed,
    alone,
    compared,
    digests_of,
    keep_old,
    proof_of,
    replay_files,
    replay_streams,
    size_of,
)
from plantops.cli.session import run
from plantops.deployment.place import Place, load_place
from plantops.runtime.errors import Refused, SettingsError

STREAMS = tuple(reads.stream for reads in (*PLANT_STREAMS, *AUDIT_STREAMS))

Into = Annotated[
    Path | None, typer.Option("--into", help="The new file (default: data/replay/archive.duckdb).")
]
Since = Annotated[str, typer.Option("--from", help="Only what was stored from here on (UTC).")]
Until = Annotated[str, typer.Option("--to", help="Only what was stored before (UTC).")]
Streams = Annotated[
    list[str] | None, typer.Option("--stream", help="Only this stream; may be given several times.")
]
Parquet = Annotated[
    Path | None, typer.Option("--parquet", help="From files alone: what `plantops export --live` wrote.")
]
Tiles = Annotated[
    Path | None, typer.Option("--tiles", help="With --parquet: an export by `plantops audit export`.")
]
Trust = Annotated[
    Path | None, typer.Option("--trust", help="Public keys to trust (default: the site's policy).")
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Prove that every audit row stands in the signed tree.")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Put it in the place of the live file, which is kept.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="replay")(replay)


def replay(
    folder: Folder = DEMO_FOLDER,
    *,
    into: Into = None,
    since: Since = "",
    until: Until = "",
    stream: Streams = None,
    parquet: Parquet = None,
    tiles: Tiles = None,
    trust: Trust = None,
    verify: Verify = False,
    replace: Replace = False,
    json: Json = False,
) -> None:
    """Make the archive again from the log, and print what each table holds.

    It becomes a new file beside the one in use. Equal digests are equal tables, however the rows came in.
    With --verify the audit rows are held against the checkpoints that the notary signed, and the rows of
    the archive in use against them; the first that does not fit is named, and the exit code is 1.
    """
    site = load_place(folder)
    wanted = Wanted(moment(since, "--from"), moment(until, "--to"), _streams(stream or []))
    if wanted != Wanted() and (replace or verify or parquet):
        raise Refused(
            "--replace, --verify and --parquet take the whole log: leave --from, --to and --stream out",
            reason="replay",
        )
    if tiles is not None and parquet is None:
        raise Refused("--tiles goes with --parquet: streams need no tiles", reason="replay")
    target = into or site.folder.root / "data" / REPLAYED
    with alone(site.folder.root / "data" / "replay"):
        done = _made(site, target, wanted, parquet, tiles, quiet=json)
        if verify:
            known = load_trust(trust) if trust is not None else site_trust(site)
            done = _proved(site, done, known, up_to=size_of(tiles) if tiles else None, quiet=json)
        kept = keep_old(site, target) if replace else None
    if json:
        print_json(_facts(done, kept))
    else:
        _tell(done, kept, is_replaced=replace)
    _refuse(done)


def _made(
    site: Place, target: Path, wanted: Wanted, parquet: Path | None, tiles: Path | None, *, quiet: bool
) -> Replayed:
    if parquet is None:
        done = Replayed(target, run(replay_streams(site, target, wanted, quiet=quiet)), {})
    else:
        extents, loaded = replay_files(site, target, parquet, tiles, quiet=quiet)
        done = Replayed(target, extents, {}, missing=loaded.missing)
    return replaced(done, digests=digests_of(target, quiet=quiet))


def _proved(site: Place, done: Replayed, trust: AuditTrust, *, up_to: int | None, quiet: bool) -> Replayed:
    proof = proof_of(site, done.path, trust, up_to=up_to, quiet=quiet)
    used, differences = compared(site, done.path)
    return replaced(done, proof=proof, compared=used, differences=differences)


def _streams(names: list[str]) -> frozenset[str]:
    for name in names:
        if name not in STREAMS:
            raise SettingsError(f"no stream {name!r}{did_you_mean(name, STREAMS)}: there are {some(STREAMS)}")
    return frozenset(names)


def _facts(done: Replayed, kept: Path | None) -> dict[str, object]:
    return {
        "path": str(done.path),
        "kept": str(kept) if kept else None,
        "streams": {
            name: {"first": extent.first, "last": extent.last} for name, extent in done.extents.items()
        },
        "tables": {name: {"rows": one.rows, "sha256": one.sha256} for name, one in done.digests.items()},
        "missing": [one.text for one in done.missing],
        "proof": done.proof,
        "compared": str(done.compared) if done.compared else None,
        "differences": [one._asdict() for one in done.differences],
    }


def _tell(done: Replayed, kept: Path | None, *, is_replaced: bool) -> None:
    table(
        "",
        ("table", "rows", "SHA-256"),
        ((name, f"{one.rows:,}", one.sha256) for name, one in done.digests.items()),
    )
    for one in done.missing:
        out.print(f"[yellow]missing[/]: {safe(one.text)}", soft_wrap=True)
    if done.proof is not None:
        _tell_proof(done, done.proof)
    if is_replaced:
        before = f"; the old one is kept as {safe(str(kept))}" if kept else ""
        out.print(f"the archive starts from it now{before}", soft_wrap=True)
    else:
        out.print(f"in {safe(str(done.path))}", soft_wrap=True)


def _tell_proof(done: Replayed, proof: Proof) -> None:
    if proof.ok:
        later = (
            f"; {proof.size - proof.covered} newer ones wait for theirs" if proof.size > proof.covered else ""
        )
        out.print(
            f"[green]proved[/]: {proof.covered} audit rows stand in the signed tree, "
            f"{proof.checkpoints} checkpoints agree{later}"
        )
    for finding in proof.findings:
        place = f"row {finding.index}" if finding.index is not None else "the log"
        out.print(f"[red]{finding.kind}[/] at {place}: {safe(finding.detail)}", soft_wrap=True)
    if done.compared is not None and not done.differences:
        out.print(f"the audit rows of {safe(str(done.compared))} are the proved ones", soft_wrap=True)
    for one in done.differences:
        column = f"column {one.column}: {one.a!r} in place of {one.b!r}" if one.column else "only on one side"
        out.print(
            f"[red]audit row {one.key[0]}[/] of {safe(str(done.compared))}: {safe(column)}", soft_wrap=True
        )


def _refuse(done: Replayed) -> None:
    if done.proof is not None and not done.proof.ok:
        raise Refused(
            f"the audit is not the signed one: {done.proof.findings[0].detail}; "
            "`plantops audit verify` names the record",
            reason="audit",
        )
    if done.differences:
        raise Refused(
            f"{len(done.differences)} values in the audit rows of {done.compared} are not those of the log, "
            f"the first in row {done.differences[0].key[0]}: replace it with `plantops replay --replace`",
            reason="audit",
        )
