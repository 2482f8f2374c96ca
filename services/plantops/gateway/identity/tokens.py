"""Bearer tokens: JWTs of one issuer for one audience (RFC 7519; checks of RFC 8725)."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from plantops.gateway.identity.credentials import PeerCertificate, Unproved
from plantops.gateway.identity.jwks import ProviderKeys, ProviderUnavailable
from plantops.gateway.problems import HttpProblem
from plantops.gateway.settings import JwtSettings

MAX_TOKEN: Final = 8192
MAX_TRIES: Final = 4
"""How many keys a token without a key id is held against."""


@dataclass(frozen=True)
class Tokens:
    """Verifies tokens; `now` is seconds since 1970."""

    settings: JwtSettings
    keys: ProviderKeys
    now: Callable[[], float] = time.time

    async def subject(self, token: str, certificate: PeerCertificate | None) -> str:
        """The name that the configured claim gives, mapped.

        Raises: Unproved; HttpProblem (503) while the issuer's keys are not known.
        """
        claims = await self._verified(token)
        self._check_life(claims)
        _check_binding(claims, certificate)
        name = claims.get(self.settings.claim)
        if not isinstance(name, str) or not name:
            raise Unproved("claim", f"the token has no text in the claim {self.settings.claim!r}")
        return self.settings.principals.get(name, name)

    async def _verified(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN:
            raise Unproved("malformed", f"a token of {len(token)} characters: at most {MAX_TOKEN} are read")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise Unproved("malformed", f"this is no JWT: {error}") from error
        algorithm, kid = header.get("alg"), header.get("kid", "")
        if algorithm not in self.settings.algorithms:
            wanted = ", ".join(self.settings.algorithms)
            raise Unproved("algorithm", f"the token is signed by {algorithm!r}, taken are {wanted}")
        _check_type(header)
        try:
            keys = await self.keys.find(str(kid), str(algorithm))
        except ProviderUnavailable as error:
            raise HttpProblem(503, "server_not_ready", error.message, headers={"Retry-After": "5"}) from error
        if not keys:
            raise Unproved("key", f"the issuer has no key {kid!r} for {algorithm}")
        return self._decoded(token, str(algorithm), keys[:MAX_TRIES])

    def _decoded(self, token: str, algorithm: str, keys: list[jwt.PyJWK]) -> dict[str, Any]:
        failed: jwt.PyJWTError | None = None
        for key in keys:
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    audience=self.settings.audience,
                    issuer=self.settings.issuer,
                    leeway=self.settings.leeway_seconds,
                    options={"require": ["exp", "iss", "aud"], "verify_signature": True},
                )
            except jwt.InvalidSignatureError as error:
                failed = error
            except jwt.PyJWTError as error:
                raise Unproved(_kind(error), f"the token does not count: {error}") from error
        raise Unproved("signature", "the token's signature does not fit") from failed

    def _check_life(self, claims: Mapping[str, Any]) -> None:
        left = float(claims["exp"]) - self.now()
        if left > self.settings.longest_seconds + self.settings.leeway_seconds:
            raise Unproved(
                "lifetime",
                f"the token is good for {left:.0f} s, at most {self.settings.longest_seconds:g} s are taken",
            )


def _check_type(header: Mapping[str, Any]) -> None:
    """A token for another purpose must not serve here (RFC 8725, 3.11)."""
    kind = str(header.get("typ", "JWT")).lower().removeprefix("application/")
    if kind not in ("jwt", "at+jwt"):
        raise Unproved("type", f"a token of type {kind!r} does not say who calls")


def _check_binding(claims: Mapping[str, Any], certificate: PeerCertificate | None) -> None:
    """A token bound to a certificate counts on that certificate's connection only (RFC 8705, 3)."""
    if "cnf" not in claims:
        return
    bound = claims["cnf"].get("x5t#S256") if isinstance(claims["cnf"], dict) else None
    if not isinstance(bound, str) or len(claims["cnf"]) != 1:
        raise Unproved("binding", "the token is bound to something that cannot be checked here")
    shown = (
        "" if certificate is None else base64.urlsafe_b64encode(certificate.thumbprint).decode().rstrip("=")
    )
    if not hmac.compare_digest(bound.encode(), shown.encode()):
        raise Unproved("binding", "the token is bound to another client certificate")


_KINDS: Final[Mapping[type[jwt.PyJWTError], str]] = {
    jwt.ExpiredSignatureError: "expired",
    jwt.ImmatureSignatureError: "not_yet",
    jwt.InvalidAudienceError: "audience",
    jwt.InvalidIssuerError: "issuer",
    jwt.MissingRequiredClaimError: "claim",
}


def _kind(error: jwt.PyJWTError) -> str:
    return _KINDS.get(type(error), "malformed")
