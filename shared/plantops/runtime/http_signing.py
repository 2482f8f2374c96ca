"""HTTP messages signed with a shared secret: HMAC-SHA256 (RFC 2104) with key id, time and nonce, both ways.

One header carries it: `PlantOps-Signature: v1;key=ID;time=MS;nonce=32 hex;mac=64 hex`. The mac is over lines
of ASCII joined by one newline, none at the end:

    request:   plantops-request-v1, key, time, nonce, METHOD, path?query as sent, idempotency key,
               `execute` or `simulate`, SHA-256 of the body in hex
    response:  plantops-response-v1, key, time, nonce of the request, status, Location,
               `execute` or `simulate`, SHA-256 of the body in hex

What is absent is an empty line. `time` is milliseconds since 1970. A response repeats key and nonce of the
request, so it fits no other request; its own first line keeps a request from being played back as a response.
The method says nothing about the server's name: give each server a secret of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from plantops.runtime.errors import SettingsError, SignatureInvalid, UntrustedKey

SIGNATURE_HEADER: Final = "PlantOps-Signature"
SIMULATE_HEADER: Final = "PlantOps-Simulate"
"""On a request `true` asks for a simulation; on a response it says that only a simulation was done."""
KEY_HEADER: Final = "Idempotency-Key"

CLOCK_WINDOW_SECONDS: Final = 60
# 32 characters of hexadecimal are 128 bit; RFC 2104, 3 advises at least the length of the hash: 64 of them.
MIN_SECRET_CHARACTERS: Final = 32
_MAX_NONCES: Final = 100_000
_KEY_ID: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_NONCE: Final = re.compile(r"[0-9a-f]{32}")
_HEADER: Final = re.compile(
    rf"v1;key=({_KEY_ID});time=([0-9]{{1,15}});nonce=([0-9a-f]{{32}});mac=([0-9a-f]{{64}})"
)
_LINE: Final = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A shared secret and the name under which both sides know it.

    Raises: SettingsError for a name that no header can carry, or a secret that can be guessed.
    """

    id: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if re.fullmatch(_KEY_ID, self.id) is None:
            raise SettingsError(
                f"key id {self.id!r}: use 1 to 64 letters, digits, '.', '_' or '-'", setting="key_id"
            )
        if len(self.secret) < MIN_SECRET_CHARACTERS:
            raise SettingsError(
                f"the secret of key {self.id!r} is shorter than {MIN_SECRET_CHARACTERS} characters: "
                "make one with `openssl rand -hex 32`",
                setting="secret",
            )


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What of a request is signed; `target` is path and query exactly as they stand in the request line."""

    method: str
    target: str
    body: bytes = b""
    idempotency_key: str = ""
    simulate: bool = False


@dataclass(frozen=True, slots=True)
class SignedResponse:
    """What of a response is signed; `location` is the header's text, empty when there is none."""

    status: int
    body: bytes = b""
    location: str = ""
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """The header's content; `time_ms` since 1970."""

    key: str
    time_ms: int
    nonce: str
    mac: str

    def __str__(self) -> str:
        return f"v1;key={self.key};time={self.time_ms};nonce={self.nonce};mac={self.mac}"

    @classmethod
    def parse(cls, header: str | None) -> Signature:
        """Raises: SignatureInvalid for no header, or any text that is not exactly of this form."""
        if header is None:
            raise SignatureInvalid(f"no {SIGNATURE_HEADER} header: the message is not signed")
        found = _HEADER.fullmatch(header)
        if found is None:
            raise SignatureInvalid(
                f"the {SIGNATURE_HEADER} header is not of the form v1;key=…;time=…;nonce=…;mac=…"
            )
        return cls(found[1], int(found[2]), found[3], found[4])


def sign_request(key: SigningKey, request: SignedRequest, *, time_ms: int, nonce: str) -> Signature:
    """`nonce`: 128 random bit as 32 lower-case hexadecimal digits, never used before.

    Raises: SignatureInvalid for a nonce of another form, or a text that no header line can carry.
    """
    if _NONCE.fullmatch(nonce) is None:
        raise SignatureInvalid("a nonce is 32 lower-case hexadecimal digits", keyid=key.id)
    return Signature(key.id, time_ms, nonce, _request_mac(key, request, time_ms, nonce))


def sign_response(key: SigningKey, response: SignedResponse, *, time_ms: int, nonce: str) -> Signature:
    """`key` and `nonce` are those of the request. Raises: SignatureInvalid as `sign_request`."""
    return Signature(key.id, time_ms, nonce, _response_mac(key, response, time_ms, nonce))


def verify_response(key: SigningKey, header: str | None, response: SignedResponse, *, nonce: str) -> None:
    """That the server that shares `key` gave this response to the request with this nonce.

    The response's time is not judged: the nonce proves that it is not older than the request.
    Raises: SignatureInvalid, UntrustedKey.
    """
    signature = Signature.parse(header)
    if signature.key != key.id:
        raise UntrustedKey(
            f"the response is signed with key {signature.key!r}, the request was with {key.id!r}",
            keyids=(signature.key,),
        )
    if not hmac.compare_digest(signature.nonce, nonce):
        raise SignatureInvalid("the response is signed for another request (its nonce)", keyid=key.id)
    if not hmac.compare_digest(signature.mac, _response_mac(key, response, signature.time_ms, nonce)):
        raise SignatureInvalid("the signature does not fit the response", keyid=key.id)


class Verifier:
    """Lets a signed request through once. For one server process; `keys` by id, two while one is replaced.

    Refused: no or a malformed header, an unknown key, a wrong mac, a time more than a minute off or before
    this verifier began (it cannot know what was used before), and a nonce that was used. Only requests that
    are signed well are remembered, for as long as their time would let them pass; when too many are, new
    ones are refused. A clock that is set back is taken as standing still.
    """

    def __init__(
        self,
        keys: Mapping[str, SigningKey],
        *,
        window_seconds: int = CLOCK_WINDOW_SECONDS,
        max_nonces: int = _MAX_NONCES,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._keys = dict(keys)
        self._window_ms = window_seconds * 1000
        self._max_nonces = max_nonces
        self._clock = now_ms
        self._latest = self._began = now_ms()
        self._used: set[tuple[str, str]] = set()
        self._order: deque[tuple[int, tuple[str, str]]] = deque()

    def check(self, header: str | None, request: SignedRequest) -> Signature:
        """The request's signature, whose key and nonce sign the response.

        Raises: SignatureInvalid, UntrustedKey.
        """
        signature = Signature.parse(header)
        key = self._keys.get(signature.key)
        if key is None:
            raise UntrustedKey(
                f"key {signature.key!r} is not known here: give it to the server", keyids=(signature.key,)
            )
        due = _request_mac(key, request, signature.time_ms, signature.nonce)
        if not hmac.compare_digest(signature.mac, due):
            raise SignatureInvalid("the signature does not fit the request", keyid=key.id)
        self._check_time(signature)
        self._use(signature)
        return signature

    def sign(self, answered: Signature, response: SignedResponse) -> Signature:
        """Sign the response to a request that `check` let through."""
        return sign_response(self._keys[answered.key], response, time_ms=self._clock(), nonce=answered.nonce)

    def _check_time(self, signature: Signature) -> None:
        self._latest = max(self._latest, self._clock())
        off = signature.time_ms - self._latest
        if abs(off) > self._window_ms:
            raise SignatureInvalid(
                f"the request's time is {off / 1000:+.0f} s off the server's, "
                f"{self._window_ms // 1000} s are allowed: set the clocks",
                keyid=signature.key,
            )
        if signature.time_ms < self._began:
            raise SignatureInvalid(
                "the request is older than this server's start: sign it anew", keyid=signature.key
            )

    def _use(self, signature: Signature) -> None:
        # A time at the far end of the window passes until two windows from now.
        while self._order and self._order[0][0] + 2 * self._window_ms < self._latest:
            self._used.discard(self._order.popleft()[1])
        used = (signature.key, signature.nonce)
        if used in self._used:
            raise SignatureInvalid("the nonce was used before: this is a replay", keyid=signature.key)
        if len(self._used) >= self._max_nonces:
            raise SignatureInvalid(
                f"{self._max_nonces} requests in {2 * self._window_ms // 1000} s: slow down",
                keyid=signature.key,
            )
        self._used.add(used)
        self._order.append((self._latest, used))


def _request_mac(key: SigningKey, request: SignedRequest, time_ms: int, nonce: str) -> str:
    return _mac(
        key,
        "plantops-request-v1",
        time_ms,
        nonce,
        request.method.upper(),
        request.target,
        request.idempotency_key,
        _mode(request.simulate),
        hashlib.sha256(request.body).hexdigest(),
    )


def _response_mac(key: SigningKey, response: SignedResponse, time_ms: int, nonce: str) -> str:
    return _mac(
        key,
        "plantops-response-v1",
        time_ms,
        nonce,
        str(response.status),
        response.location,
        _mode(response.simulated),
        hashlib.sha256(response.body).hexdigest(),
    )


def _mode(is_simulation: bool) -> str:
    return "simulate" if is_simulation else "execute"


def _mac(key: SigningKey, label: str, time_ms: int, *lines: str) -> str:
    # Nothing in a line may end it: else two messages could have the same text.
    if any(_LINE.fullmatch(line) is None for line in lines):
        raise SignatureInvalid("a signed part holds a character that is not printable ASCII", keyid=key.id)
    text = "\n".join((label, key.id, str(time_ms), *lines))
    return hmac.new(key.secret.encode(), text.encode("ascii"), hashlib.sha256).hexdigest()
