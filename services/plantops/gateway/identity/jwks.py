"""The public keys of an identity provider: from a file, or from where its discovery document says.

They are kept and read again from time to time, and when a token names a key that is not among them: so a new
key counts at once, and a flood of made-up names asks the provider no more often than `again_seconds`. When
the provider is away the keys known last serve for a while, and then nobody is believed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt
import msgspec
import structlog

from plantops.gateway.settings import JwtSettings
from plantops.runtime.errors import PlantOpsError, SettingsError

MAX_BYTES: Final = 262_144
MAX_KEYS: Final = 100
STALE_FACTOR: Final = 12
"""For so many times `refresh_seconds` keys that cannot be read again still count."""

log = structlog.get_logger("plantops.gateway.identity")


class ProviderUnavailable(PlantOpsError):
    """The provider's keys cannot be read: nobody with a token is believed until they can."""

    retryable = True


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """One public key for signatures. `algorithm` is the only one that it is for, "" when it does not say."""

    data: dict[str, Any]
    kid: str
    algorithm: str

    def for_algorithm(self, name: str) -> jwt.PyJWK | None:
        """The key for this algorithm; None when it is no key for that."""
        if self.algorithm and self.algorithm != name:
            return None
        if self.data.get("kty") != _KIND.get(name[:2]):
            return None
        try:
            return jwt.PyJWK(self.data, name)
        except (jwt.PyJWTError, ValueError):
            return None


_KIND: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


@dataclass
class ProviderKeys:
    """`read` gives the JWKS text; see the module."""

    settings: JwtSettings
    folder: Path
    clock: Callable[[], float] = time.monotonic
    _keys: tuple[ProviderKey, ...] = ()
    _read_at: float | None = None
    _tried_at: float | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def find(self, kid: str, algorithm: str) -> list[jwt.PyJWK]:
        """The keys that a token of this `kid` ("": all of them) may be signed by.

        Raises: ProviderUnavailable when no keys are known, or only too old ones.
        """
        await self._renew(unless=lambda: self._age() <= self.settings.refresh_seconds)
        found = self._among(kid, algorithm)
        if not found and kid:
            await self._renew(unless=lambda: bool(self._among(kid, algorithm)))
            found = self._among(kid, algorithm)
        if self._age() > self.settings.refresh_seconds * STALE_FACTOR:
            raise ProviderUnavailable("the keys of the identity provider cannot be read: see the log")
        return found

    def _among(self, kid: str, algorithm: str) -> list[jwt.PyJWK]:
        keys = [key.for_algorithm(algorithm) for key in self._keys if not kid or key.kid == kid]
        return [key for key in keys if key is not None]

    def _age(self) -> float:
        return float("inf") if self._read_at is None else self.clock() - self._read_at

    async def _renew(self, unless: Callable[[], bool]) -> None:
        if unless():
            return
        async with self._lock:
            now = self.clock()
            is_too_soon = self._tried_at is not None and now - self._tried_at < self.settings.again_seconds
            if unless() or is_too_soon:
                return
            self._tried_at = now
            try:
                self._keys = keys_in(await self._text())
            except (httpx.HTTPError, OSError, ValueError) as error:
                log.warning("jwks.unreadable", issuer=self.settings.issuer, reason=str(error) or repr(error))
            else:
                self._read_at = self.clock()

    async def _text(self) -> bytes:
        if self.settings.jwks:
            path = self.folder / self.settings.jwks
            return await asyncio.to_thread(path.read_bytes)
        async with httpx.AsyncClient(timeout=self.settings.timeout_seconds, follow_redirects=False) as client:
            return await self._discovered(client)

    async def _discovered(self, client: httpx.AsyncClient) -> bytes:
        """OpenID Connect Discovery 1.0, 4: the document must name the very issuer that it was asked of."""
        issuer = self.settings.issuer
        address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        told = msgspec.json.decode(await _get(client, address), type=_Discovered)
        if told.issuer != issuer:
            raise ValueError(f"{address} speaks for {told.issuer!r}, wanted {issuer!r}")
        check_address(told.jwks_uri)
        return await _get(client, told.jwks_uri)


class _Discovered(msgspec.Struct):
    issuer: str
    jwks_uri: str


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


def keys_in(text: bytes) -> tuple[ProviderKey, ...]:
    """The keys of a JWK set that are for signatures; others are passed over (RFC 7517, 5).

    Raises: ValueError when it is none, or holds too many.
    """
    told = msgspec.json.decode(text, type=_KeySet).keys
    if len(told) > MAX_KEYS:
        raise ValueError(f"{len(told)} keys, at most {MAX_KEYS} are taken")
    return tuple(
        ProviderKey(each, str(each.get("kid", "")), str(each.get("alg", "")))
        for each in told
        if each.get("use", "sig") == "sig" and each.get("kty") in ("RSA", "EC", "OKP") and "d" not in each
    )


def check_address(address: str) -> None:
    """Keys come over TLS, or from this machine. Raises: SettingsError."""
    parts = urlsplit(address)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"):
        return
    raise SettingsError(f"{address!r}: an identity provider is asked by https only", setting="gateway.jwt")


async def _get(client: httpx.AsyncClient, address: str) -> bytes:
    async with client.stream("GET", address) as answer:
        if answer.status_code != 200:
            raise ValueError(f"{address} answered {answer.status_code}")
        text = b""
        async for part in answer.aiter_bytes():
            text += part
            if len(text) > MAX_BYTES:
                raise ValueError(f"{address} answered more than {MAX_BYTES} bytes")
        return text
