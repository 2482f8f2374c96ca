"""Only whose role may say an event is believed, on the subject that is its own."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from plantops.events import EVENT_TYPES
from plantops.events.base import encode_json
from plantops.events.command_parts import APPROVAL_TYPE, INTENT_TYPE, Approval, Intent
from plantops.events.envelope import CONTENT_TYPE, JSON, MSGPACK, SIGNATURE, Message, payload_type
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.policy.document import Principal
from plantops.policy.keyring import Keyring
from plantops.policy.rights import PROCESS_ROLES
from plantops.policy.speakers import SPEAKERS
from plantops.runtime.errors import (
    MalformedEnvelope,
    PolicyRejected,
    SignatureInvalid,
    TrustError,
    UntrustedKey,
)
from support.plant_samples import NOW, PLANT, POLICY, SITE, key, with_policy

KEYRING = Keyring(POLICY)
# Events that nobody signs, each with its reason.
UNSIGNED = {
    "policy.published": "its envelope carries the root's signatures",
    "policy.root_published": "its envelope carries the signatures of the old root and its own",
    "message.buried": "nothing is decided by it",
}
# A subject on which the event may be said, and by whom.
RIGHT = {
    "tag.frame": ("plc", "tag.demo.plc"),
    "tag.frame.named": ("plc", "tag.demo.plc"),
    "source.defined": ("plc", "definition.demo.plc.abc"),
    "source.lease": ("plc", "source.demo.plc.lease"),
    "source.up": ("plc", "source.demo.plc.up"),
    "source.lost": ("plc", "source.demo.plc.lost"),
    "source.gap": ("plc", "source.demo.plc.gap"),
    "command.requested": ("gate", "intent.demo.alice.pump.Start"),
    "approval.received": ("gate", "approval.demo.bob.c1"),
    "timer.fired": ("clock", "timer.demo.gate"),
    "checkpoint.signed": ("notary", "checkpoint.demo"),
    "checkpoint.refused": ("notary", "checkpoint.demo"),
    "checkpoint.cosigned": ("witness", "cosignature.demo.witness"),
    "checkpoint.disputed": ("witness", "dispute.demo.witness"),
}
for _type in EVENT_TYPES:
    if _type.startswith("command.") and _type not in RIGHT:
        _by, _name = ("plc", "adapter-plc") if SPEAKERS[_type].role == "executor" else ("gate", "gate")
        RIGHT[_type] = (_by, f"cmd.demo.{_type.removeprefix('command.')}.{_name}.c1")
    if _type.startswith("agent."):
        RIGHT[_type] = ("desk", f"agent.demo.k7.{_type.removeprefix('agent.')}")
OWNERS = {"plc": "adapter-plc", "scada": "adapter-scada"}


def said(event_type: str, by: str, subject: str, *, content: str = JSON, data: bytes = b"{}") -> Message:
    kind = payload_type(event_type, 1, content)
    return Message(subject, data, {CONTENT_TYPE: content, SIGNATURE: dsse.detached(kind, data, key(by))})


def test_every_event_has_a_speaker_and_every_speaker_an_event() -> None:
    assert set(SPEAKERS) == set(EVENT_TYPES) | {"tag.frame"}
    assert {name for name, speaker in SPEAKERS.items() if not speaker.role} == set(UNSIGNED)
    assert {speaker.role for speaker in SPEAKERS.values()} == PROCESS_ROLES | {""}


@pytest.mark.parametrize("event_type", sorted(set(SPEAKERS) - set(UNSIGNED)))
def test_believes_the_role_on_its_own_subject_and_nobody_else(event_type: str) -> None:
    by, subject = RIGHT[event_type]
    content = MSGPACK if event_type == "tag.frame" else JSON
    message = said(event_type, by, subject, content=content)
    assert KEYRING.believe(event_type, 1, message) == OWNERS.get(by, by)
    for other in {"gate", "plc", "notary", "clock", "alice", "robot", "watchdog", "stranger", "desk"} - {by}:
        with pytest.raises(UntrustedKey):
            KEYRING.believe(event_type, 1, said(event_type, other, subject, content=content))


@pytest.mark.parametrize("event_type", sorted(set(SPEAKERS) - set(UNSIGNED)))
def test_a_signature_fits_one_type_one_version_one_form_and_one_text(event_type: str) -> None:
    by, subject = RIGHT[event_type]
    message = said(event_type, by, subject)
    with pytest.raises(SignatureInvalid):
        KEYRING.believe(event_type, 2, message)
    with pytest.raises(SignatureInvalid):
        KEYRING.believe(event_type, 1, dataclasses.replace(message, data=b"{ }"))
    for headers in (
        {},
        {**message.headers, CONTENT_TYPE: MSGPACK},
        {**message.headers, CONTENT_TYPE: "text/plain"},
    ):
        with pytest.raises(SignatureInvalid):
            KEYRING.believe(event_type, 1, Message(subject, message.data, headers))
    same_role = [name for name, speaker in SPEAKERS.items() if speaker.role == SPEAKERS[event_type].role]
    for other in set(same_role) - {event_type}:
        with pytest.raises(TrustError):
            KEYRING.believe(other, 1, message)


@pytest.mark.parametrize(
    ("event_type", "by", "subject"),
    [
        ("command.denied", "gate", "cmd.other.denied.gate.c1"),
        ("command.denied", "gate", "cmd.demo.denied.gate2.c1"),
        ("command.denied", "gate", "cmd.demo.permitted.gate.c1"),
        ("command.denied", "gate", "cmd.demo.denied.gate"),
        ("command.denied", "gate", "cmd.demo.denied.gate.c1.x"),
        ("command.denied", "gate", "cmd.demo.denied.gate."),
        ("command.executed", "plc", "cmd.demo.executed.adapter-scada.c1"),
        ("tag.frame", "plc", "tag.demo.scada"),
        ("tag.frame", "plc", "tag.demo.adapter-plc"),
        ("source.defined", "plc", "definition.demo.scada.abc"),
        ("source.up", "plc", "source.demo.plc.lost"),
        ("command.requested", "gate", "approval.demo.alice.c1"),
        ("checkpoint.signed", "notary", "checkpoint.other"),
    ],
)
def test_refuses_a_subject_that_names_another(event_type: str, by: str, subject: str) -> None:
    with pytest.raises(UntrustedKey, match="may not say"):
        KEYRING.believe(event_type, 1, said(event_type, by, subject))


def test_a_process_that_is_no_adapter_speaks_for_no_source() -> None:
    odd = Principal(kind="process", roles=("executor",), keys=(key("odd").public.to_base64(),))
    keyring = Keyring(with_policy(principals={"plc": odd}))
    for subject in ("tag.demo.plc", "tag.demo."):
        with pytest.raises(UntrustedKey):
            keyring.believe("tag.frame", 1, said("tag.frame", "odd", subject))


def test_what_needs_no_signature_has_no_speaker_and_what_is_not_known_is_refused() -> None:
    for event_type in UNSIGNED:
        assert KEYRING.believe(event_type, 1, Message("any.subject", b"")) == ""
    with pytest.raises(UntrustedKey):
        KEYRING.believe("command.invented", 1, said("command.invented", "gate", "cmd.demo.invented.gate.c1"))


def test_knows_people_by_name_key_and_login() -> None:
    assert (KEYRING.login("UA"), KEYRING.login("UX")) == ("alice", None)
    assert (KEYRING.owner(key("alice").keyid), KEYRING.owner("x")) == ("alice", None)
    assert KEYRING.keys_of("alice") == {key("alice").keyid: key("alice").public}
    assert (KEYRING.roles_of("alice"), KEYRING.roles_of("mallory")) == (("operator",), ())
    assert (KEYRING.may("alice", "pump", "Start"), KEYRING.may("bob", "pump", "Start")) == (True, False)
    assert not KEYRING.may("mallory", "pump", "Start")
    assert KEYRING.person_of("robot") == ""
    assert KEYRING.person_of("robot", ("alice",)) == "Alice"
    assert KEYRING.person_of("alice", ("robot",)) == ""
    assert KEYRING.persons_of("alice", ("bob", "robot")) == {"Alice", "Bob"}


def test_refuses_a_shared_key_or_login_and_a_broken_key() -> None:
    twin = POLICY.principals["alice"]
    for principal in (
        msgspec.structs.replace(twin, logins=()),
        msgspec.structs.replace(twin, keys=()),
        Principal(kind="agent", keys=("bad",)),
    ):
        with pytest.raises(PolicyRejected):
            Keyring(with_policy(principals={**POLICY.principals, "twin": principal}))


INTENT = msgspec.convert(
    {
        "site": SITE,
        "asset": "pump",
        "operation": "Start",
        "actor": "alice",
        "key": "k1",
        "nonce": "n1",
        "issued_at": NOW,
        "expires_at": NOW,
        "model": PLANT.digest,
    },
    Intent,
)
APPROVAL = msgspec.convert(
    {
        "site": SITE,
        "command": "c1",
        "person": "alice",
        "verdict": "approve",
        "intent": "a" * 64,
        "decision": "b" * 64,
        "issued_at": NOW,
        "expires_at": NOW,
        "nonce": "n1",
    },
    Approval,
)


def sealed(kind: str, payload: bytes, *by: str) -> bytes:
    keys: list[SigningKey] = [key(name) for name in by]
    return dsse.encode(dsse.seal(kind, payload, *keys))


def test_opens_an_intent_that_its_actor_signed() -> None:
    assert KEYRING.open_intent(sealed(INTENT_TYPE, encode_json(INTENT), "alice")) == (INTENT, "alice")


@pytest.mark.parametrize("signers", [("bob",), ("stranger",), ("alice", "bob")])
def test_refuses_an_intent_that_another_signed(signers: tuple[str, ...]) -> None:
    with pytest.raises(UntrustedKey):
        KEYRING.open_intent(sealed(INTENT_TYPE, encode_json(INTENT), *signers))


@pytest.mark.parametrize(
    "name",
    [
        "site",
        "asset",
        "operation",
        "arguments",
        "mode",
        "actor",
        "key",
        "nonce",
        "issued_at",
        "expires_at",
        "model",
    ],
)
def test_a_signed_intent_states_everything_itself(name: str) -> None:
    fields = msgspec.to_builtins(INTENT)
    del fields[name]
    with pytest.raises(MalformedEnvelope, match=name):
        KEYRING.open_intent(sealed(INTENT_TYPE, encode_json(fields), "alice"))


def test_refuses_an_intent_whose_times_have_no_zone() -> None:
    naive = msgspec.structs.replace(INTENT, issued_at=NOW.replace(tzinfo=None))
    with pytest.raises(MalformedEnvelope, match="UTC"):
        KEYRING.open_intent(sealed(INTENT_TYPE, encode_json(naive), "alice"))


def test_refuses_one_thing_for_another_and_nonsense() -> None:
    with pytest.raises(SignatureInvalid):
        KEYRING.open_intent(sealed(APPROVAL_TYPE, encode_json(INTENT), "alice"))
    for payload in (b"", b"[]", b"{", b'{"site":5}', b"\xff", b"[" * 100_000):
        with pytest.raises(MalformedEnvelope):
            KEYRING.open_intent(sealed(INTENT_TYPE, payload, "alice"))
    for data in (b"", b"{}", b"\xff"):
        with pytest.raises(MalformedEnvelope):
            KEYRING.open_intent(data)


def test_opens_an_approval_that_the_person_signed_and_no_other() -> None:
    data = encode_json(APPROVAL)
    assert KEYRING.open_approval(sealed(APPROVAL_TYPE, data, "alice")) == (APPROVAL, "alice")
    with pytest.raises(UntrustedKey):
        KEYRING.open_approval(sealed(APPROVAL_TYPE, data, "bob"))
    nameless = msgspec.structs.replace(APPROVAL, nonce="")
    with pytest.raises(MalformedEnvelope, match="nonce"):
        KEYRING.open_approval(sealed(APPROVAL_TYPE, encode_json(nameless), "alice"))


def test_an_agent_never_approves() -> None:
    own = msgspec.structs.replace(APPROVAL, person="robot")
    with pytest.raises(UntrustedKey, match="no person"):
        KEYRING.open_approval(sealed(APPROVAL_TYPE, encode_json(own), "robot"))
