"""Intents and approvals as who signs himself makes them: complete, with a nonce and a life of their own."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from plantops.events.base import (
    AssetName,
    CommandId,
    Digest,
    OperationName,
    PrincipalName,
    Scalar,
    SiteName,
    encode_json,
)
from plantops.events.command_parts import APPROVAL_TYPE, INTENT_TYPE, Approval, Intent, Mode
from plantops.events.commands import ApprovalRequested, CommandSimulated
from plantops.events.queries import CommandStatus
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey

INTENT_LIFE: Final = timedelta(minutes=20)
APPROVAL_LIFE: Final = timedelta(minutes=5)

Simulated: TypeAlias = CommandStatus | CommandSimulated
"""What was simulated and is confirmed now: as the gate tells of it, or as it is stored."""

Verdict: TypeAlias = Literal["approve", "reject"]


def new_intent(
    site: str,
    actor: str,
    asset: str,
    operation: str,
    arguments: Mapping[str, Scalar],
    *,
    model: Digest,
    mode: Mode = "execute",
    confirms: Simulated | None = None,
    key: str = "",
    reason: str = "",
    on_behalf_of: Sequence[PrincipalName] = (),
    life: timedelta = INTENT_LIFE,
) -> Intent:
    """A complete intent, beginning now. What it confirms, it confirms with the result that it had.

    `key` "" is one that nobody had before: the intent is a command of its own then.
    """
    now = datetime.now(UTC)
    command, simulation = _seen(confirms)
    return Intent(
        site=SiteName(site),
        asset=AssetName(asset),
        operation=OperationName(operation),
        arguments=dict(arguments),
        mode=mode,
        actor=PrincipalName(actor),
        on_behalf_of=tuple(on_behalf_of),
        key=key or fresh(),
        nonce=fresh(),
        issued_at=now,
        expires_at=now + life,
        model=model,
        confirms=command,
        simulation=simulation,
        reason=reason,
    )


def new_approval(
    site: str, person: str, wanted: ApprovalRequested, verdict: Verdict, *, reason: str = "", by: str = ""
) -> Approval:
    """What `person` says to the command that waits with `wanted`, bound to its decision.

    `by` is the gateway that signs it for him, "" when he does so himself.
    """
    now = datetime.now(UTC)
    return Approval(
        site=SiteName(site),
        command=wanted.command,
        person=PrincipalName(person),
        verdict=verdict,
        intent=wanted.intent,
        decision=wanted.decision,
        issued_at=now,
        expires_at=now + APPROVAL_LIFE,
        nonce=fresh(),
        reason=reason,
        by=PrincipalName(by),
    )


def sealed(words: Intent | Approval, key: SigningKey) -> bytes:
    """The signed envelope, as it is handed in."""
    payload_type = INTENT_TYPE if isinstance(words, Intent) else APPROVAL_TYPE
    return dsse.encode(dsse.seal(payload_type, encode_json(words), key))


def fresh() -> str:
    """A word that nobody has said before and nobody guesses."""
    return secrets.token_hex(12)


def _seen(confirms: Simulated | None) -> tuple[CommandId, Digest]:
    match confirms:
        case CommandStatus():
            return confirms.command, Digest(confirms.simulation_digest)
        case CommandSimulated():
            return confirms.command, confirms.result
        case None:
            return CommandId(""), Digest("")
