"""People, agents and attackers: what they send to the door, right and wrong in every way."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any, Final

from plantops.events.base import (
    AssetName,
    CommandId,
    Digest,
    OperationName,
    PrincipalName,
    Scalar,
    encode_json,
)
from plantops.events.command_parts import APPROVAL_TYPE, INTENT_TYPE, Approval, Intent, command_id
from plantops.events.commands import ApprovalRequested
from plantops.events.envelope import Message
from plantops.gate.door import Door
from plantops.ledger import dsse
from soak.ground import AGENT, PERSONS, PLANT, PUMPS, SITE, STRANGER
from soak.words import Ask, Vote
from soak.world import World
from support.plant_samples import key

FLAWS: Final = (
    "role",
    "site",
    "old",
    "future",
    "expired",
    "model",
    "forged",
    "stranger",
    "tampered",
    "unsigned",
    "chain",
    "extra field",
    "key again",
    "behind",
)
VOTE_FLAWS: Final = (
    "command",
    "decision",
    "intent",
    "expired",
    "future",
    "forged",
    "tampered",
    "brief",
    "site",
)


def _login(name: str) -> dict[str, str]:
    info = {"kind": "Client", "acc": "CLIENTS", "user": f"LOGIN-{name}"}
    return {"Nats-Request-Info": json.dumps(info)}


def argument_of(world: World, asset: str, operation: str, how: list[Any]) -> dict[str, Scalar]:
    """The arguments meant by a step: relative to what stands there, absolute, or wrong."""
    name = "RPM" if asset in PUMPS else "PERCENT"
    if operation not in ("SetSpeed", "Trim", "Open"):
        return {"RPM": 1.0} if how[0] == "extra" else {}
    match how[0]:
        case "by":
            standing = world.truth[f"{asset}.{'setpoint' if asset in PUMPS else 'command'}"].value
            base = standing if isinstance(standing, int | float) else 0.0
            bound = 3600.0 if asset in PUMPS else 100.0
            return {name: min(bound, max(0.0, base + how[1]))}
        case "missing":
            return {}
        case "extra":
            return {name: 10.0, "MORE": 1}
        case "other":
            return {"WRONG": 10.0}
        case _:
            return {name: how[1]}


async def ask(
    world: World,
    actor: str,
    asset: str,
    operation: str,
    arguments: dict[str, Scalar],
    *,
    flaw: str = "",
    mode: str = "execute",
    confirms: str = "",
    simulation: str = "",
    reuse: str = "",
    door: Door | None = None,
) -> str:
    """Send an intent; gives the identity that it would have."""
    now = world.now
    actor, by, login = _who(actor, flaw)
    behalf = _behind(actor, flaw)
    name = reuse or f"{world.step}-{world.counts['asked']}"
    world.count("asked")
    fields = Intent(
        site=SITE if flaw != "site" else "other",  # type: ignore[arg-type]
        asset=AssetName(asset),
        operation=OperationName(operation),
        arguments=arguments,
        mode=mode,  # type: ignore[arg-type]
        actor=PrincipalName(actor),
        on_behalf_of=tuple(PrincipalName(each) for each in behalf),
        key=name,
        nonce=name,
        issued_at=now + timedelta(seconds={"old": -60, "future": 60}.get(flaw, 0)),
        expires_at=now + timedelta(seconds=-1 if flaw == "expired" else 600),
        model=Digest("0" * 64) if flaw == "model" else PLANT.digest,
        confirms=CommandId(confirms),
        simulation=Digest(simulation),
    )
    data = encode_json(fields)
    if flaw == "extra field":
        data = data[:-1] + b',"please":true}'
    if by:
        data = dsse.encode(dsse.seal(INTENT_TYPE, data, key(by)))
    if flaw == "tampered":
        data = _tampered(fields, by)
    told = _told(fields, hashlib.sha256(data).hexdigest(), by, login, flaw)
    world.model.asks[told.command].append(told)
    world.sent.setdefault(told.command, (asset, operation, arguments))
    subject = f"door.intent.{SITE}.{actor}.{asset}.{operation}"
    await (door or world.gate.door).intent(Message(subject, data, _login(login)))
    return told.command


def _who(actor: str, flaw: str) -> tuple[str, str, str]:
    """(actor, whose key signs, who is logged in)."""
    match flaw:
        case "forged":
            return actor, STRANGER, actor
        case "stranger":
            return STRANGER, STRANGER, actor
        case "unsigned":
            return actor, "", actor
        case "role":
            return "carol", "carol", "carol"
    return actor, actor, actor


def _behind(actor: str, flaw: str) -> tuple[str, ...]:
    if flaw == "chain":
        return (STRANGER,)
    if flaw == "behind":
        return ("alice",)
    return ("alice",) if actor == AGENT else ()


def _tampered(fields: Intent, by: str) -> bytes:
    """Other words under an old signature."""
    sealed = dsse.seal(INTENT_TYPE, encode_json(fields), key(by or STRANGER))
    other = dsse.seal(INTENT_TYPE, encode_json(fields).replace(b'"nonce":"', b'"nonce":"x'), key(STRANGER))
    return dsse.encode(dsse.Envelope(INTENT_TYPE, other.payload, sealed.signatures))


def _told(fields: Intent, digest: str, by: str, login: str, flaw: str) -> Ask:
    assert fields.issued_at is not None
    assert fields.expires_at is not None
    return Ask(
        command=command_id(fields.actor, fields.key),
        digest=digest,
        by=by,
        login=login,
        actor=fields.actor,
        behalf=fields.on_behalf_of,
        site=fields.site,
        asset=fields.asset,
        operation=fields.operation,
        arguments=tuple(fields.arguments.items()),
        mode=fields.mode,
        issued=fields.issued_at,
        expires=fields.expires_at,
        model_agrees=fields.model == PLANT.digest,
        confirms=fields.confirms,
        simulation=fields.simulation,
        whole=flaw not in ("tampered", "extra field"),
    )


async def vote(
    world: World,
    wanted: ApprovalRequested,
    person: str,
    *,
    verdict: str = "approve",
    flaw: str = "",
    other: str = "",
) -> None:
    """Send an approval or a rejection of what waits."""
    now = world.now
    by = {"forged": STRANGER, "other": other}.get(flaw, person)
    lives = {"expired": -1.0, "brief": 3.0}.get(flaw, 300.0)
    said = Approval(
        site=SITE if flaw != "site" else "other",  # type: ignore[arg-type]
        command=CommandId(other or "f" * 24) if flaw == "command" else wanted.command,
        person=PrincipalName(person),
        verdict=verdict,  # type: ignore[arg-type]
        intent=Digest("0" * 64) if flaw == "intent" else wanted.intent,
        decision=Digest("0" * 64) if flaw == "decision" else wanted.decision,
        issued_at=now + timedelta(seconds=60 if flaw == "future" else 0),
        expires_at=now + timedelta(seconds=lives + (60 if flaw == "future" else 0)),
        nonce=f"n{world.step}",
    )
    sealed = dsse.seal(APPROVAL_TYPE, encode_json(said), key(by))
    if flaw == "tampered":
        other_words = (
            encode_json(said).replace(b"reject", b"approve").replace(wanted.decision[:8].encode(), b"0" * 8)
        )
        sealed = dsse.Envelope(
            APPROVAL_TYPE, dsse.seal(APPROVAL_TYPE, other_words, key(by)).payload, sealed.signatures
        )
    data = dsse.encode(sealed)
    told = Vote(
        command=said.command,
        site=said.site,
        person=person,
        by=by,
        verdict=verdict,
        intent=said.intent,
        decision=said.decision,
        issued=said.issued_at,
        expires=said.expires_at,
        whole=flaw != "tampered",
    )
    world.votes[data.decode()] = told
    subject = f"door.approval.{SITE}.{person}.{said.command}"
    login = person if person in PERSONS else "alice"
    await world.gate.door.approval(Message(subject, data, _login(login)))
