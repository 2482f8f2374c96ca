"""Permits for the sample plant with what was signed behind them: true ones, and by `changed` forged ones."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import msgspec

from plantops.events.base import Digest, PrincipalName, SourceName, encode_json
from plantops.events.command_parts import (
    APPROVAL_TYPE,
    INTENT_TYPE,
    Approval,
    Intent,
    Permit,
    command_id,
)
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.schemas.sample_plant import NOW, PLANT, SITE

SEEN = Digest("7" * 64)


def signed(words: Intent, by: SigningKey) -> str:
    return dsse.encode(dsse.seal(INTENT_TYPE, encode_json(words), by)).decode()


def permit_for(words: Intent, evidence: str, *approvals: str, **changed: Any) -> Permit:
    permit = Permit(
        site=SITE,
        source=SourceName("plc1"),
        command=command_id(words.actor, words.key),
        intent=_digest(evidence),
        asset=words.asset,
        operation=words.operation,
        arguments=words.arguments,
        actor=words.actor,
        generation=0,
        writes=(),
        policy=Digest(""),
        model=PLANT.digest,
        decision=SEEN,
        not_after=NOW + timedelta(seconds=20),
        on_behalf_of=words.on_behalf_of,
        evidence=evidence,
        approvals=approvals,
    )
    return msgspec.structs.replace(permit, **changed)


def approval_of(words: Intent, evidence: str, person: str, signing: SigningKey, **changed: Any) -> str:
    """What `person` said to these words, signed with the key `signing`."""
    said = Approval(
        site=SITE,
        command=command_id(words.actor, words.key),
        person=PrincipalName(person),
        verdict="approve",
        intent=_digest(evidence),
        decision=SEEN,
        issued_at=NOW,
        expires_at=NOW + timedelta(minutes=5),
        nonce="00",
    )
    said = msgspec.structs.replace(said, **changed)
    return dsse.encode(dsse.seal(APPROVAL_TYPE, encode_json(said), signing)).decode()


def _digest(evidence: str) -> Digest:
    return Digest(hashlib.sha256(evidence.encode()).hexdigest())
