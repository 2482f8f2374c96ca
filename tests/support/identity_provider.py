"""An identity provider to throw away: its keys, its tokens, and its documents over HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "plantops"


@dataclass
class Provider:
    """`keys` by key id; `asked` counts the requests for each path, `is_away` answers 503 to them."""

    issuer: str = "https://login.example"
    keys: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    is_away: bool = False
    says_issuer: str = ""

    def make(self, kid: str, kind: str = "ES256") -> None:
        makers = {
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
        }
        self.keys[kid] = makers[kind]()

    def jwks(self) -> bytes:
        """What it publishes."""
        return json.dumps(
            {"keys": [{**_public(each), "kid": kid, "use": "sig"} for kid, each in self.keys.items()]}
        ).encode()

    def write(self, path: Path) -> None:
        path.write_bytes(self.jwks())

    def token(
        self,
        kid: str = "one",
        *,
        algorithm: str = "ES256",
        headers: Mapping[str, Any] | None = None,
        without: tuple[str, ...] = (),
        signed_by: Any = None,
        **claims: Any,
    ) -> str:
        """A token as this provider makes it, changed as the test wants."""
        now = int(time.time())
        said = {"iss": self.issuer, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 300, **claims}
        for name in without:
            del said[name]
        made = {"kid": kid, **dict(headers or {})}
        return jwt.encode(
            said, signed_by or self.keys[kid], algorithm, {k: v for k, v in made.items() if v is not None}
        )

    @asynccontextmanager
    async def over_http(self) -> AsyncIterator[str]:
        """Serves its documents on loopback; `issuer` becomes that address."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self.issuer
        finally:
            server.close()
            await server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        self.asked[path] = self.asked.get(path, 0) + 1
        documents = {
            "/.well-known/openid-configuration": json.dumps(
                {"issuer": self.says_issuer or self.issuer, "jwks_uri": f"{self.issuer}/keys"}
            ).encode(),
            "/keys": self.jwks(),
        }
        body = documents.get(path, b"")
        status = b"503 Away" if self.is_away or not body else b"200 OK"
        writer.write(
            b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)
        )
        await writer.drain()
        writer.close()


def _public(key: Any) -> dict[str, Any]:
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return dict(RSAAlgorithm.to_jwk(public, as_dict=True))
    if isinstance(public, ec.EllipticCurvePublicKey):
        return dict(ECAlgorithm.to_jwk(public, as_dict=True))
    return dict(OKPAlgorithm.to_jwk(public, as_dict=True))
