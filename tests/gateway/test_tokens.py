"""Bearer tokens: what counts, what does not, and where the keys come from."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from plantops.events.base import SiteName
from plantops.gateway.identity.authenticator import Authenticator
from plantops.gateway.identity.credentials import Unproved
from plantops.gateway.identity.jwks import ProviderKeys, ProviderUnavailable, check_address
from plantops.gateway.identity.tokens import Tokens
from plantops.gateway.problems import HttpProblem
from plantops.gateway.settings import GatewaySettings, JwtSettings
from plantops.runtime.errors import SettingsError
from support.gateway_frame import frame_of, problem
from support.identity_provider import AUDIENCE, Provider


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def provider() -> Provider:
    made = Provider()
    made.make("one")
    return made


def tokens_of(provider: Provider, folder: Path, **changed: Any) -> Tokens:
    provider.write(folder / "jwks.json")
    settings = JwtSettings(issuer=provider.issuer, audience=AUDIENCE, jwks="jwks.json")
    settings = msgspec.structs.replace(settings, **changed)
    return Tokens(settings, ProviderKeys(settings, folder, Clock()))


async def refused(tokens: Tokens, token: str) -> str:
    """For what kind of reason."""
    with pytest.raises(Unproved) as error:
        await tokens.subject(token, None)
    return error.value.kind


async def test_a_token_names_its_subject(provider: Provider, tmp_path: Path) -> None:
    assert await tokens_of(provider, tmp_path).subject(provider.token(), None) == "alice"


async def test_another_claim_can_name_the_principal_and_be_mapped(provider: Provider, tmp_path: Path) -> None:
    tokens = tokens_of(provider, tmp_path, claim="email", principals={"a.liddell@plant.example": "alice"})
    assert await tokens.subject(provider.token(email="a.liddell@plant.example"), None) == "alice"
    assert await refused(tokens, provider.token()) == "claim"
    assert await refused(tokens, provider.token(email=["a"])) == "claim"


@pytest.mark.parametrize("kind", ["RS256", "EdDSA", "ES256"])
async def test_each_kind_of_key_is_taken(kind: str, tmp_path: Path) -> None:
    provider = Provider()
    provider.make("one", kind)
    assert await tokens_of(provider, tmp_path).subject(provider.token(algorithm=kind), None) == "alice"


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"exp": int(time.time()) - 60}, "expired"),
        ({"nbf": int(time.time()) + 3600}, "not_yet"),
        ({"iat": int(time.time()) + 3600}, "not_yet"),
        ({"aud": "somebody else"}, "audience"),
        ({"iss": "https://login.example.evil"}, "issuer"),
        ({"exp": int(time.time()) + 10 * 365 * 86400}, "lifetime"),
        ({"sub": ""}, "claim"),
        ({"cnf": {"x5t#S256": "AAAA"}}, "binding"),
        ({"cnf": {"jkt": "AAAA"}}, "binding"),
        ({"cnf": "AAAA"}, "binding"),
    ],
)
async def test_a_token_that_is_not_meant_for_here_and_now_is_refused(
    provider: Provider, tmp_path: Path, claims: dict[str, Any], kind: str
) -> None:
    assert await refused(tokens_of(provider, tmp_path), provider.token(**claims)) == kind


async def test_clocks_may_differ_by_the_leeway(provider: Provider, tmp_path: Path) -> None:
    tokens = tokens_of(provider, tmp_path)
    now = int(time.time())
    assert await tokens.subject(provider.token(exp=now - 20, nbf=now + 20), None) == "alice"


@pytest.mark.parametrize("claim", ["exp", "iss", "aud"])
async def test_a_token_says_until_when_from_whom_and_for_whom(
    provider: Provider, tmp_path: Path, claim: str
) -> None:
    assert await refused(tokens_of(provider, tmp_path), provider.token(without=(claim,))) == "claim"


async def test_an_unsigned_token_is_refused(provider: Provider, tmp_path: Path) -> None:
    tokens = tokens_of(provider, tmp_path)
    _head, body, _signature = provider.token().split(".")
    for algorithm in ("none", "None", "NONE"):
        head = (
            base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": "one"}).encode())
            .decode()
            .rstrip("=")
        )
        assert await refused(tokens, f"{head}.{body}.") == "algorithm"


async def test_the_public_key_is_no_shared_secret(provider: Provider, tmp_path: Path) -> None:
    """RFC 8725, 2.1: a token made with HMAC over the public key's bytes."""
    tokens = tokens_of(provider, tmp_path)
    public = provider.keys["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _head, body, _signature = provider.token().split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').decode().rstrip("=")
    made = hmac.new(public, f"{head}.{body}".encode(), hashlib.sha256).digest()
    token = f"{head}.{body}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}"
    assert await refused(tokens, token) == "algorithm"


async def test_another_key_under_the_same_name_does_not_count(provider: Provider, tmp_path: Path) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    tokens = tokens_of(provider, tmp_path)
    assert await refused(tokens, provider.token(signed_by=stranger)) == "signature"
    assert await refused(tokens, provider.token(signed_by=stranger, headers={"kid": None})) == "signature"


async def test_a_key_in_the_tokens_own_header_is_not_looked_at(provider: Provider, tmp_path: Path) -> None:
    other = Provider()
    other.make("two")
    jwk = json.loads(other.jwks())["keys"][0]
    token = other.token("two", headers={"kid": "one", "jwk": jwk, "jku": "https://evil.example/keys"})
    assert await refused(tokens_of(provider, tmp_path), token) == "signature"


@pytest.mark.parametrize("kind", ["id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt"])
async def test_a_token_for_another_purpose_is_refused(provider: Provider, tmp_path: Path, kind: str) -> None:
    assert await refused(tokens_of(provider, tmp_path), provider.token(headers={"typ": kind})) == "type"


async def test_a_header_that_must_be_understood_and_is_not_refuses_the_token(
    provider: Provider, tmp_path: Path
) -> None:
    token = provider.token(headers={"crit": ["exp2"], "exp2": 1})
    assert await refused(tokens_of(provider, tmp_path), token) == "malformed"


@pytest.mark.parametrize("token", ["a", "a.b.c", "....", "x" * 9000, "\u00fc.a.b"])
async def test_what_is_no_token_is_refused(provider: Provider, tmp_path: Path, token: str) -> None:
    assert await refused(tokens_of(provider, tmp_path), token) == "malformed"


async def test_a_private_or_encryption_key_in_the_file_is_passed_over(
    provider: Provider, tmp_path: Path
) -> None:
    tokens = tokens_of(provider, tmp_path)
    told = json.loads(provider.jwks())
    told["keys"][0]["use"] = "enc"
    (tmp_path / "jwks.json").write_text(json.dumps(told))
    assert await refused(tokens, provider.token()) == "key"


async def test_a_new_key_counts_as_soon_as_a_token_names_it(provider: Provider, tmp_path: Path) -> None:
    tokens = tokens_of(provider, tmp_path)
    assert await tokens.subject(provider.token(), None) == "alice"
    provider.make("two")
    provider.write(tmp_path / "jwks.json")
    tokens.keys.clock.now += 11  # type: ignore[attr-defined]
    assert await tokens.subject(provider.token("two"), None) == "alice"


async def test_a_key_that_is_gone_stops_counting_when_the_keys_are_read_again(
    provider: Provider, tmp_path: Path
) -> None:
    tokens = tokens_of(provider, tmp_path)
    old = provider.token()
    assert await tokens.subject(old, None) == "alice"
    del provider.keys["one"]
    provider.make("two")
    provider.write(tmp_path / "jwks.json")
    tokens.keys.clock.now += 301  # type: ignore[attr-defined]
    assert await refused(tokens, old) == "key"


# Discovery


def discovering(provider: Provider, folder: Path, clock: Clock) -> Tokens:
    settings = JwtSettings(issuer=provider.issuer, audience=AUDIENCE)
    return Tokens(settings, ProviderKeys(settings, folder, clock))


@pytest.fixture
async def served(provider: Provider) -> AsyncIterator[Provider]:
    async with provider.over_http():
        yield provider


async def test_keys_are_discovered_once_and_kept(served: Provider, tmp_path: Path) -> None:
    tokens = discovering(served, tmp_path, Clock())
    for _number in range(5):
        assert await tokens.subject(served.token(), None) == "alice"
    assert served.asked == {"/.well-known/openid-configuration": 1, "/keys": 1}


async def test_made_up_key_names_do_not_make_the_gateway_ask_for_each(
    served: Provider, tmp_path: Path
) -> None:
    clock = Clock()
    tokens = discovering(served, tmp_path, clock)
    await tokens.subject(served.token(), None)
    clock.now += 11
    for number in range(20):
        assert await refused(tokens, served.token(headers={"kid": f"made-up-{number}"})) == "key"
    assert served.asked["/keys"] == 2


async def test_while_the_provider_is_away_the_known_keys_serve_for_an_hour_and_then_nobody_is_believed(
    served: Provider, tmp_path: Path
) -> None:
    clock = Clock()
    tokens = discovering(served, tmp_path, clock)
    await tokens.subject(served.token(), None)
    served.is_away = True
    clock.now += 3000
    assert await tokens.subject(served.token(), None) == "alice"
    clock.now += 700
    with pytest.raises(HttpProblem) as error:
        await tokens.subject(served.token(), None)
    assert error.value.status == 503
    served.is_away = False
    clock.now += 11
    assert await tokens.subject(served.token(), None) == "alice"


async def test_a_document_of_another_issuer_gives_no_keys(served: Provider, tmp_path: Path) -> None:
    served.says_issuer = "https://login.example"
    keys = discovering(served, tmp_path, Clock()).keys
    with pytest.raises(ProviderUnavailable):
        await keys.find("one", "ES256")


@pytest.mark.parametrize(
    "address", ["http://login.example", "ftp://login.example", "login.example", "https://"]
)
def test_a_provider_is_asked_by_https_only(address: str) -> None:
    with pytest.raises(SettingsError, match="https"):
        check_address(address)


@pytest.mark.parametrize("text", ["", "{}", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AAAA"}]}', "[]"])
def test_a_file_without_keys_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "jwks.json").write_text(text)
    for name in ("jwks.json", "elsewhere.json"):
        jwt = JwtSettings(issuer="https://login.example", audience=AUDIENCE, jwks=name)
        with pytest.raises(SettingsError, match=name):
            Authenticator.read(GatewaySettings(jwt=jwt), SiteName("demo"), tmp_path)


# Over HTTP


async def test_over_http_a_token_lets_in_and_its_own_roles_are_not_read(
    provider: Provider, tmp_path: Path
) -> None:
    provider.write(tmp_path / "jwks.json")
    jwt = JwtSettings(issuer=provider.issuer, audience=AUDIENCE, jwks="jwks.json")
    async with frame_of(tmp_path, GatewaySettings(port=0, jwt=jwt)) as frame, frame.client() as client:

        async def me(token: str) -> Any:
            return await client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})

        known = await me(provider.token(sub="dave", roles=["supervisor"], groups=["admin"]))
        stranger = await me(provider.token(sub="mallory"))
        gateway = await me(provider.token(sub="gateway"))
        gate = await me(provider.token(sub="gate"))
        forged = await me(provider.token(signed_by=ec.generate_private_key(ec.SECP256R1())))
        header_only = await client.get("/v1/me", headers={"X-Roles": "operator"})
        basic = await client.get("/v1/me", headers={"Authorization": "Basic YTpi"})
        both = await client.get(
            "/v1/me", headers={"Authorization": f"Bearer {provider.token()}", "X-API-Key": "pok_a"}
        )
        twice = await client.get(
            "/v1/me", headers=[("Authorization", f"Bearer {provider.token()}"), ("Authorization", "Bearer x")]
        )
    assert known.json() | {"request": ""} == {
        "name": "dave",
        "roles": ["operator"],
        "how": "jwt",
        "request": "",
    }
    assert [each.status_code for each in (stranger, gateway, gate)] == [403, 403, 403]
    assert problem(stranger)["code"] == "forbidden"
    assert [each.status_code for each in (forged, header_only, basic, both, twice)] == [401] * 5
