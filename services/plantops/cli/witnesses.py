"""Whose word is asked for beside the notary's: options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from plantops.ledger.note import Kind, NoteKey
from plantops.ledger.witnesses import WitnessPolicy, parse_policy
from plantops.runtime.errors import SettingsError

Trust = Annotated[
    Path | None, typer.Option("--trust", help="Public keys to trust (default: the site's policy).")
]
Witnesses = Annotated[
    list[str] | None,
    typer.Option("--witness", help="Verifier key of a witness who must have cosigned; may be repeated."),
]
Quorum = Annotated[
    int, typer.Option("--quorum", min=0, help="How many of these witnesses are enough (default: all).")
]
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--witness-policy", help="A C2SP tlog-policy file that says which witnesses must have cosigned."
    ),
]


def wanted_witnesses(vkeys: Sequence[str], quorum: int, policy: Path | None) -> WitnessPolicy | None:
    """None where nothing was asked for. Raises: SettingsError."""
    if policy is not None:
        if vkeys:
            raise SettingsError("give --witness or --witness-policy, not both", setting="witness-policy")
        try:
            return parse_policy(policy.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{policy} cannot be read: {error.strerror}") from error
    if not vkeys:
        return None
    keys = [NoteKey.from_vkey(text) for text in vkeys]
    if wrong := [key.name for key in keys if key.kind is not Kind.COSIGNATURE]:
        raise SettingsError(f"{wrong} are keys of logs, no witnesses' keys (type 4)", setting="witness")
    return WitnessPolicy.of(keys, quorum or len(keys))
