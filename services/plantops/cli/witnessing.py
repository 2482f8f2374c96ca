"""`plantops witness`: look at exports of somebody else's log, remember them, and cosign what extends them."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Annotated

import typer

from plantops.audit.remembered import state_folder
from plantops.audit.trust import load_trust
from plantops.audit.witness import SEEN_FILE, Disputed, Witness
from plantops.audit.witness_files import witness_export
from plantops.cli.output import Json, out, print_json, safe
from plantops.ledger.keys import SigningKey
from plantops.ledger.note import Kind, NoteKey
from plantops.runtime.errors import Refused, SettingsError

_UNSAFE = re.compile(r"[^A-Za-z0-9.-]")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="witness")(witness)


def witness(
    *,
    export: Annotated[
        Path, typer.Option("--from-export", help="The folder that `plantops audit export` wrote.")
    ],
    trust: Annotated[Path, typer.Option("--trust", help="The site's trust file, got on another way.")],
    name: Annotated[str, typer.Option("--name", help="Your name as a witness, like witness.example/w1.")],
    state: Annotated[
        Path | None,
        typer.Option("--state", help="Where key and memory are kept (default: your state folder)."),
    ] = None,
    json: Json = False,
) -> None:
    """Witness a log from its exports, on a machine that nobody of the site can reach.

    The export must extend the one before. What was seen is stored before the cosignature is written into
    the export's checkpoint. The first use makes the key and prints the verifier key to hand out.
    """
    known = load_trust(trust)
    folder = state if state is not None else state_folder(os.environ, Path.home()) / "witness"
    folder = folder / _UNSAFE.sub("_", name)
    key = _key(folder)
    verifier = NoteKey(name, key.public, Kind.COSIGNATURE).to_vkey()
    memory = Witness(folder / f"{_UNSAFE.sub('_', known.site)}.{SEEN_FILE}")
    try:
        found = witness_export(export, known, memory, name=name, key=key, at=int(time.time()))
    except Disputed as disputed:
        raise Refused(f"not cosigned: {disputed.message}", reason="audit") from disputed
    if json:
        print_json(
            {"size": found.size, "root": found.root.hex(), "origin": found.origin, "verifier": verifier}
        )
        return
    out.print(f"cosigned {found.size} records of {safe(found.origin)}", soft_wrap=True)
    out.print(f"verifier key: {safe(verifier)}", soft_wrap=True)


def _key(folder: Path) -> SigningKey:
    path = folder / "signing.key"
    if not path.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise SettingsError(f"cannot make {folder}: {error.strerror}; give --state") from error
        SigningKey.generate().save(path)
    return SigningKey.load(path)
