"""Signed envelopes: DSSE v1 (secure-systems-lab/dsse, protocol.md and envelope.md).

What is signed is the encoding of type and payload together, so bytes of one type never pass for another.
"""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from plantops.ledger import strict_base64
from plantops.ledger.keys import SigningKey, VerifyKey
from plantops.runtime.errors import MalformedEnvelope, SignatureInvalid, UntrustedKey

MAX_ENVELOPE_BYTES: Final = 256 * 1024
MAX_SIGNATURES: Final = 16
MAX_NAME_CHARACTERS: Final = 256
# envelope.md: "Either standard or URL-safe encoding is allowed"; a verifier must take both.
_URL_SAFE_TO_STANDARD: Final = str.maketrans("-_", "+/")


_Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARACTERS)]


class Signature(msgspec.Struct, frozen=True):
    """One signature; `keyid` is an unauthenticated hint which key to try, `sig` is base64."""

    keyid: _Name
    sig: str


class Envelope(msgspec.Struct, frozen=True):
    """A payload with its signatures, unverified; the field names are those of the specification."""

    payloadType: _Name  # noqa: N815 - DSSE envelope.md
    payload: str
    signatures: Annotated[tuple[Signature, ...], msgspec.Meta(max_length=MAX_SIGNATURES)]

    def body(self) -> bytes:
        """Give the payload bytes, unverified: to believe them use `open_envelope`.

        Raises:
            MalformedEnvelope: the payload is not canonical base64.
        """
        return _decoded(self.payload, "payload")


class Opened(msgspec.Struct, frozen=True):
    """A verified payload; `signers` are the distinct keys that signed it, in envelope order, never empty."""

    payload: bytes
    signers: tuple[str, ...]


_ENVELOPE_DECODER: Final = msgspec.json.Decoder(Envelope)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Encode type and payload into the bytes that are signed (DSSE v1 PAE; lengths count bytes)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload_type: str, payload: bytes, *keys: SigningKey) -> Envelope:
    """Sign the payload with each key, in the order given.

    Raises:
        ValueError: no key, or more than `MAX_SIGNATURES`.
    """
    if not 1 <= len(keys) <= MAX_SIGNATURES:
        raise ValueError(f"an envelope carries 1 to {MAX_SIGNATURES} signatures, not {len(keys)}")
    message = pae(payload_type, payload)
    signatures = tuple(Signature(key.keyid, strict_base64.encode(key.sign(message))) for key in keys)
    return Envelope(payload_type, strict_base64.encode(payload), signatures)


def encode(envelope: Envelope) -> bytes:
    """Write the JSON form; the same envelope gives the same bytes.

    Raises:
        MalformedEnvelope: it would be larger than `decode` accepts.
    """
    data = msgspec.json.encode(envelope)
    _check_size(data)
    return data


def decode(data: bytes) -> Envelope:
    """Read the JSON form; fields that the specification does not know are ignored, as it demands.

    Raises:
        MalformedEnvelope: larger than `MAX_ENVELOPE_BYTES`, not JSON, or not shaped like an envelope.
    """
    _check_size(data)
    try:
        return _ENVELOPE_DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEnvelope(f"not a signed envelope: {error}") from error


def open_envelope(envelope: Envelope, *, expected_type: str, trusted: Mapping[str, VerifyKey]) -> Opened:
    """Verify, and only then give the payload.

    Every signature whose key id is trusted must be good; others are ignored, since another reader may
    trust them. A key counts once, however often it signed.

    Raises:
        MalformedEnvelope: payload or a trusted signature is not canonical base64.
        SignatureInvalid: another type, no signature at all, or a bad one under a trusted key id.
        UntrustedKey: signed, but by no trusted key.
    """
    if envelope.payloadType != expected_type:
        raise SignatureInvalid(
            f"the envelope holds {envelope.payloadType!r} where {expected_type!r} was expected"
        )
    if not envelope.signatures:
        raise SignatureInvalid(f"the envelope of type {expected_type!r} carries no signature")
    payload = envelope.body()
    message = pae(expected_type, payload)
    signers: dict[str, None] = {}
    for signature in envelope.signatures:
        key = trusted.get(signature.keyid)
        if key is not None:
            _check(key, message, signature)
            signers[key.keyid] = None
    if not signers:
        claimed = tuple(signature.keyid for signature in envelope.signatures)
        raise UntrustedKey(
            f"{expected_type!r} is signed by {', '.join(claimed)}, none is trusted here", keyids=claimed
        )
    return Opened(payload, tuple(signers))


def detached(payload_type: str, payload: bytes, key: SigningKey) -> str:
    """Sign a payload that travels readable; gives the header value "<keyid> <base64 signature>"."""
    return f"{key.keyid} {strict_base64.encode(key.sign(pae(payload_type, payload)))}"


def verify_detached(header: str, payload_type: str, payload: bytes, trusted: Mapping[str, VerifyKey]) -> str:
    """Verify a header made by `detached` and give the id of the key that signed.

    Raises:
        MalformedEnvelope: the header has another shape.
        UntrustedKey: the key named is not trusted here.
        SignatureInvalid: the signature does not fit type and payload.
    """
    keyid, separator, sig = header.partition(" ")
    if not separator:
        raise MalformedEnvelope(
            "a signature header reads '<keyid> <base64 signature>'; this one has one word"
        )
    key = trusted.get(keyid)
    if key is None:
        raise UntrustedKey(
            f"{payload_type!r} is signed by {keyid!r}, which is not trusted here", keyids=(keyid,)
        )
    _check(key, pae(payload_type, payload), Signature(keyid, sig))
    return key.keyid


def _check(key: VerifyKey, message: bytes, signature: Signature) -> None:
    if not key.is_valid(message, _decoded(signature.sig, "signature")):
        raise SignatureInvalid(
            f"the signature by key {signature.keyid} does not fit: bytes or type were changed after signing",
            keyid=signature.keyid,
        )


def _decoded(text: str, what: str) -> bytes:
    # Ours has neither letter, and looking is many times quicker than translating.
    standard = text.translate(_URL_SAFE_TO_STANDARD) if "-" in text or "_" in text else text
    try:
        return strict_base64.decode(standard)
    except ValueError as error:
        raise MalformedEnvelope(f"the {what} of the envelope is not base64") from error


def _check_size(data: bytes) -> None:
    if len(data) > MAX_ENVELOPE_BYTES:
        raise MalformedEnvelope(f"the envelope has {len(data)} bytes, the limit is {MAX_ENVELOPE_BYTES}")
