"""What a request brings to say who sends it, before anything of it is believed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509

from plantops.gateway.problems import HttpProblem


class Unproved(HttpProblem):
    """401: the credentials prove nothing. `kind` is a fixed word for the metrics, never what was sent."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(
            401, "unauthorized", message, headers={"WWW-Authenticate": 'Bearer realm="plantops"'}
        )
        self.kind = kind


@dataclass(frozen=True)
class PeerCertificate:
    """The certificate of the peer of this very connection, verified by TLS against our authorities."""

    der: bytes

    @cached_property
    def certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.der)

    @cached_property
    def thumbprint(self) -> bytes:
        """SHA-256 of the DER bytes: `x5t#S256` (RFC 8705, 3.1)."""
        return hashlib.sha256(self.der).digest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """`peer` is the address at the other end of the connection, `headers` have lower-case names, in order."""

    peer: str
    headers: Mapping[str, Sequence[str]]
    certificate: PeerCertificate | None = None

    def one(self, name: str) -> str:
        """The header's only value, "" without one. Raises: Unproved when it stands there twice."""
        values = self.headers.get(name, ())
        if len(values) > 1:
            raise Unproved("ambiguous", f"the header {name!r} stands there {len(values)} times: send it once")
        return values[0].strip() if values else ""


def headers_of(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    """ASGI headers by name; bytes beyond ASCII as ISO-8859-1 (RFC 9110, 5.5)."""
    found: dict[str, list[str]] = {}
    for name, value in raw:
        found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return found
