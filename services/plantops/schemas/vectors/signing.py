"""Signed envelopes, detached signatures, and the identity of a command."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from plantops.events.base import encode_json
from plantops.events.command_parts import INTENT_TYPE, command_id
from plantops.events.envelope import payload_type
from plantops.ledger import dsse
from plantops.ledger.dsse import Envelope, Signature
from plantops.ledger.keys import SigningKey
from plantops.schemas.sample_decisions import SPEED
from plantops.schemas.sample_plant import KEYS, SEEDS

Json: TypeAlias = dict[str, Any]

_PAYLOADS: Final[Mapping[str, tuple[str, bytes]]] = {
    "empty": ("text/plain", b""),
    "plain": ("http://example.com/HelloWorld", b"hello world"),
    "beyond_ascii": ("text/plain; charset=utf-8", "läuft 40 °C".encode()),
    "intent": (INTENT_TYPE, encode_json(SPEED)),
    "frame": (payload_type("tag.frame", 1, "application/msgpack"), bytes(range(256))),
}


def key_document(name: str) -> Json:
    """A key pair as the vectors give it: the seed of RFC 8032, the public key, the key id."""
    key = KEYS[name]
    return {
        "name": name,
        "seed": base64.b64encode(SEEDS[name]).decode(),
        "public": key.public.to_base64(),
        "keyid": key.keyid,
    }


def signatures() -> Json:
    """DSSE v1 with Ed25519."""
    key = KEYS["alice"]
    return {
        "about": "DSSE v1 (PAE, envelope) with Ed25519. `keyid` is the first 32 hexadecimal digits of "
        "SHA-256 over the raw public key. `header` is the detached form, as in the NATS header "
        "`plantops-signature`: '<keyid> <base64 signature>' over the same PAE, while the payload travels as "
        "it is. A reader refuses what stands under `refused`.",
        "key": key_document("alice"),
        "other_key": key_document("bob"),
        "cases": [_case(name, kind, payload, key) for name, (kind, payload) in _PAYLOADS.items()],
        "refused": list(_refused(key)),
    }


def _case(name: str, kind: str, payload: bytes, key: SigningKey) -> Json:
    return {
        "name": name,
        "payload_type": kind,
        "payload": base64.b64encode(payload).decode(),
        "pae": base64.b64encode(dsse.pae(kind, payload)).decode(),
        "envelope": dsse.encode(dsse.seal(kind, payload, key)).decode(),
        "header": dsse.detached(kind, payload, key),
    }


def _refused(key: SigningKey) -> list[Json]:
    kind, payload = _PAYLOADS["intent"]
    good = dsse.seal(kind, payload, key)
    changed = dsse.seal(kind, payload.replace(b"1200", b"2100"), key)
    sig = good.signatures[0].sig
    # The last letter before the padding carries two bits that mean nothing: another text, the same bytes.
    twisted = sig[:-3] + chr(ord(sig[-3]) + 1) + "=="
    found = {
        "another payload": Envelope(kind, changed.payload, good.signatures),
        "another type": Envelope(kind.replace("intent", "approval"), good.payload, good.signatures),
        "a key that is not trusted": dsse.seal(kind, payload, KEYS["bob"]),
        "signed by one key, named as another": Envelope(
            kind,
            good.payload,
            (Signature(key.keyid, dsse.seal(kind, payload, KEYS["bob"]).signatures[0].sig),),
        ),
        "base64 that is not canonical": Envelope(kind, good.payload, (Signature(key.keyid, twisted),)),
        "no signature": Envelope(kind, good.payload, ()),
    }
    return [
        {"why": why, "expected_type": kind, "trusted": [key.keyid], "envelope": dsse.encode(each).decode()}
        for why, each in found.items()
    ]


def identities() -> Json:
    """Command identities."""
    pairs = (("alice", "example-SetSpeed"), ("alice", "1"), ("bob", "1"), ("agent", "schlüssel ✓"))
    return {
        "about": "The identity of a command: the first 24 hexadecimal digits of SHA-256 over actor, one zero "
        "byte, and key, all UTF-8. It is known before the intent is sent, and the same on a retry.",
        "cases": [{"actor": actor, "key": key, "command": command_id(actor, key)} for actor, key in pairs],
    }
