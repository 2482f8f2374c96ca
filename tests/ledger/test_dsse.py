import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey, VerifyKey
from plantops.runtime.errors import MalformedEnvelope, SignatureInvalid, UntrustedKey

GATE, NOTARY, STRANGER = (SigningKey.from_seed(bytes([n]) * 32) for n in (1, 2, 3))
TRUSTED = {GATE.keyid: GATE.public, NOTARY.keyid: NOTARY.public}
KIND = "application/vnd.plantops.test+json"


def opened(envelope: dsse.Envelope, trusted: dict[str, VerifyKey] = TRUSTED) -> dsse.Opened:
    return dsse.open_envelope(dsse.decode(dsse.encode(envelope)), expected_type=KIND, trusted=trusted)


def test_encodes_as_the_specification_says() -> None:
    # The example of the specification's protocol.md.
    kind, payload = "http://example.com/HelloWorld", b"hello world"
    assert dsse.pae(kind, payload) == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert dsse.pae("ü", b"") == b"DSSEv1 2 \xc3\xbc 0 "


def test_the_json_has_the_names_of_the_specification() -> None:
    plain = json.loads(dsse.encode(dsse.seal(KIND, b"x", GATE)))
    assert set(plain) == {"payloadType", "payload", "signatures"}
    assert set(plain["signatures"][0]) == {"keyid", "sig"}


@given(payload=st.binary(max_size=200))
def test_what_was_sealed_is_opened(payload: bytes) -> None:
    assert opened(dsse.seal(KIND, payload, GATE)) == dsse.Opened(payload, (GATE.keyid,))


def test_names_every_trusted_signer_once_and_in_order() -> None:
    assert opened(dsse.seal(KIND, b"x", NOTARY, GATE, NOTARY)).signers == (NOTARY.keyid, GATE.keyid)


def test_one_key_under_two_names_counts_once() -> None:
    envelope = dsse.seal(KIND, b"x", GATE)
    twice = msgspec.structs.replace(
        envelope, signatures=(*envelope.signatures, dsse.Signature("alias", envelope.signatures[0].sig))
    )
    assert opened(twice, {**TRUSTED, "alias": GATE.public}).signers == (GATE.keyid,)


def test_an_unknown_key_is_ignored_beside_a_trusted_one_but_never_enough() -> None:
    assert opened(dsse.seal(KIND, b"x", STRANGER, GATE)).signers == (GATE.keyid,)
    with pytest.raises(UntrustedKey) as caught:
        opened(dsse.seal(KIND, b"x", STRANGER))
    assert caught.value.keyids == (STRANGER.keyid,)


def test_a_stranger_cannot_take_a_trusted_name() -> None:
    forged = dsse.seal(KIND, b"x", STRANGER)
    forged = msgspec.structs.replace(
        forged, signatures=(dsse.Signature(GATE.keyid, forged.signatures[0].sig),)
    )
    with pytest.raises(SignatureInvalid):
        opened(forged)


def test_a_bad_signature_under_a_trusted_name_spoils_a_good_one() -> None:
    good, other = dsse.seal(KIND, b"x", GATE, NOTARY), dsse.seal(KIND, b"y", NOTARY)
    with pytest.raises(SignatureInvalid) as caught:
        opened(msgspec.structs.replace(good, signatures=(good.signatures[0], other.signatures[0])))
    assert caught.value.keyid == NOTARY.keyid


def test_a_stripped_signature_is_refused() -> None:
    with pytest.raises(SignatureInvalid, match="no signature"):
        opened(msgspec.structs.replace(dsse.seal(KIND, b"x", GATE), signatures=()))


def test_bytes_of_one_type_never_pass_for_another() -> None:
    other = dsse.seal("application/vnd.plantops.other+json", b"x", GATE)
    with pytest.raises(SignatureInvalid, match="was expected"):
        opened(other)
    with pytest.raises(SignatureInvalid, match="does not fit"):
        opened(msgspec.structs.replace(other, payloadType=KIND))


def test_takes_url_safe_base64_as_the_specification_demands() -> None:
    envelope = dsse.seal(KIND, b"\xff\xfe\xfd", GATE)
    assert "/" in envelope.payload or "+" in envelope.payload
    url_safe = envelope.payload.replace("+", "-").replace("/", "_")
    assert opened(msgspec.structs.replace(envelope, payload=url_safe)).payload == b"\xff\xfe\xfd"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"payloadType":"a","payload":"","signatures":null}',
        b'{"payloadType":"a","payload":"","signatures":[{"keyid":"a"}]}',
        b'{"payloadType":"\xff","payload":"","signatures":[]}',
        b"[" * 100_000,
        b" " * (dsse.MAX_ENVELOPE_BYTES + 1),
        json.dumps(
            {"payloadType": "a", "payload": "", "signatures": [{"keyid": "", "sig": ""}] * 17}
        ).encode(),
    ],
)
def test_refuses_bytes_that_are_no_envelope(data: bytes) -> None:
    with pytest.raises(MalformedEnvelope):
        dsse.decode(data)


@pytest.mark.parametrize("payload", ["*", "QUJ=", "QQ", "QUI=\n", "é"])
def test_refuses_a_payload_that_is_not_canonical_base64(payload: str) -> None:
    with pytest.raises(MalformedEnvelope):
        opened(msgspec.structs.replace(dsse.seal(KIND, b"AB", GATE), payload=payload))


def test_never_writes_an_envelope_that_it_would_not_read() -> None:
    with pytest.raises(MalformedEnvelope, match="limit"):
        dsse.encode(dsse.seal(KIND, bytes(dsse.MAX_ENVELOPE_BYTES), GATE))


def test_a_detached_signature_binds_type_and_payload() -> None:
    header = dsse.detached(KIND, b"x", GATE)
    assert dsse.verify_detached(header, KIND, b"x", TRUSTED) == GATE.keyid
    for kind, payload in ((KIND, b"y"), (KIND + "2", b"x")):
        with pytest.raises(SignatureInvalid):
            dsse.verify_detached(header, kind, payload, TRUSTED)
    with pytest.raises(UntrustedKey):
        dsse.verify_detached(dsse.detached(KIND, b"x", STRANGER), KIND, b"x", TRUSTED)


@pytest.mark.parametrize("header", ["", GATE.keyid, f"{GATE.keyid} *", f"{GATE.keyid}  AAAA"])
def test_refuses_a_header_of_another_shape(header: str) -> None:
    with pytest.raises(MalformedEnvelope):
        dsse.verify_detached(header, KIND, b"x", TRUSTED)
