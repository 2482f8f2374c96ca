"""From a request's credentials to a principal of the policy in force, by exactly one way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from plantops.events.base import PrincipalName, SiteName
from plantops.gateway.caller import Caller, How
from plantops.gateway.identity.api_keys import ApiKeys
from plantops.gateway.identity.certificates import Certificates
from plantops.gateway.identity.credentials import Credentials, Unproved
from plantops.gateway.identity.demo import Demo
from plantops.gateway.identity.jwks import ProviderKeys, check_address, keys_in
from plantops.gateway.identity.proxies import Proxies
from plantops.gateway.identity.tokens import Tokens
from plantops.gateway.problems import HttpProblem
from plantops.gateway.settings import GatewaySettings, JwtSettings
from plantops.policy.document import Policy
from plantops.runtime.errors import SettingsError


@dataclass(frozen=True)
class Authenticator:
    """The configured ways. Make it with `read`; what is None is not offered."""

    certificates: Certificates
    tokens: Tokens | None = None
    proxies: Proxies | None = None
    api_keys: ApiKeys | None = None
    demo: Demo | None = None

    @classmethod
    def read(cls, settings: GatewaySettings, site: SiteName, folder: Path) -> Authenticator:
        """Paths are relative to `folder`. Raises: SettingsError for what cannot be used."""
        return cls(
            certificates=Certificates.read(settings.certificates),
            tokens=_tokens(settings.jwt, folder) if settings.jwt else None,
            proxies=Proxies.read(settings.proxy) if settings.proxy else None,
            api_keys=ApiKeys(folder / settings.api_keys.file) if settings.api_keys.enabled else None,
            demo=Demo.read(settings, site) if settings.demo.enabled else None,
        )

    def address(self, asked: Credentials) -> str:
        """Where the caller is, as far as a named proxy tells it."""
        return asked.peer if self.proxies is None else self.proxies.caller_address(asked)

    async def caller(self, asked: Credentials, policy: Policy, own: str, request: str) -> Caller:
        """Who asks; `own` is the gateway's principal, whom nobody else may be.

        A token or key in the request counts before the certificate of its connection, which a proxy or a
        browser shows without being asked. Raises: Unproved (401), HttpProblem (403) for who is proved to be
        somebody that the policy does not know.
        """
        found = await self._named(asked)
        if found is None:
            raise Unproved("none", "no credentials: send a bearer token, an API key or a client certificate")
        name, how = found
        principal = policy.principals.get(name)
        if principal is None or principal.kind == "process" or name == own:
            raise HttpProblem(
                403,
                "forbidden",
                f"{name!r} is proved, and is nobody who may ask here: the policy must name him",
            )
        return Caller(PrincipalName(name), principal.roles, how, request)

    async def _named(self, asked: Credentials) -> tuple[str, How] | None:
        bearer, key = asked.one("authorization"), asked.one("x-api-key")
        if bearer and key:
            raise Unproved("ambiguous", "a bearer token and an API key: send one of them")
        if bearer:
            return await self._by_token(bearer, asked)
        if key:
            return self._by_key(key)
        if asked.certificate is not None:
            return self.certificates.principal(asked.certificate), "mtls"
        if self.proxies is not None and (name := self.proxies.principal(asked, self.certificates)):
            return name, "proxy"
        if self.demo is not None and (name := self.demo.principal(asked)):
            return name, "demo"
        return None

    async def _by_token(self, header: str, asked: Credentials) -> tuple[str, How]:
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unproved("scheme", f"credentials of the scheme {scheme[:20]!r}: send Bearer and a token")
        if token.startswith("pok_"):
            return self._by_key(token)
        if self.tokens is None:
            raise Unproved("scheme", "bearer tokens are not taken here: [gateway.jwt] is not set")
        return await self.tokens.subject(token, asked.certificate), "jwt"

    def _by_key(self, text: str) -> tuple[str, How]:
        if self.api_keys is None:
            raise Unproved("api_key", "API keys are not taken here")
        return self.api_keys.principal(text, datetime.now(UTC)), "api_key"


def _tokens(settings: JwtSettings, folder: Path) -> Tokens:
    if not settings.algorithms:
        raise SettingsError("name at least one algorithm", setting="gateway.jwt.algorithms")
    if settings.jwks:
        _check_file(folder / settings.jwks)
    else:
        check_address(settings.issuer)
    return Tokens(settings, ProviderKeys(settings, folder))


def _check_file(path: Path) -> None:
    """What cannot be read later is only logged, and the keys known serve on; at the start it is a mistake."""
    try:
        found = keys_in(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} is no JWK set: {error}", setting="gateway.jwt.jwks") from error
    if not found:
        raise SettingsError(f"{path} has no public key for signatures", setting="gateway.jwt.jwks")
