"""Everything that the gateway can be told: the table `[gateway]` of the site file."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from plantops.runtime.kinds import SecretReference
from plantops.runtime.parts import Part

_Seconds = Annotated[float, Meta(gt=0)]
_Count = Annotated[int, Meta(gt=0)]

Algorithm: TypeAlias = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
"""Signatures by asymmetric keys only: who can check a shared secret can make tokens too (RFC 8725, 3.1)."""


class JwtSettings(Part, frozen=True):
    """Bearer tokens of an identity provider (RFC 6750, RFC 7519).

    `issuer` and `audience` must stand in the token. Keys come from the file `jwks` (RFC 7517), or when that
    is "" from what `issuer` publishes under `/.well-known/openid-configuration`. They are read again every
    `refresh_seconds`, and when a token names a key that is not among them, but not more often than every
    `again_seconds`. The claim `claim` names the principal, by itself or through `principals`.
    """

    issuer: str
    audience: str
    jwks: str = ""
    algorithms: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    claim: str = "sub"
    principals: dict[str, str] = {}
    leeway_seconds: Annotated[float, Meta(ge=0, le=300)] = 30.0
    longest_seconds: _Seconds = 86_400.0
    refresh_seconds: _Seconds = 300.0
    again_seconds: _Seconds = 10.0
    timeout_seconds: _Seconds = 5.0


class TlsSettings(Part, frozen=True):
    """TLS ended in the gateway itself. Files in PEM, relative to the site's folder.

    With `clients` (the authorities of client certificates) a caller may prove himself by one; with
    `required` there is no connection without.
    """

    certificate: str
    key: str
    clients: str = ""
    required: bool = False


class ProxySettings(Part, frozen=True):
    """A proxy that ends TLS for the gateway. Its words count from `peers` only (addresses or networks).

    `header` carries the client certificate's subject in the form `format`: `dn` (RFC 4514, as nginx's
    `$ssl_client_s_dn`) or `xfcc` (Envoy's x-forwarded-client-cert). With `verified` another header must say
    `SUCCESS` (nginx's `$ssl_client_verify`). `forwarded` is the header whose last address that is none of
    `peers` is the caller's ("" for none).
    """

    peers: tuple[str, ...]
    header: str = ""
    format: Literal["dn", "xfcc"] = "dn"
    verified: str = ""
    forwarded: str = ""


class CertificateSettings(Part, frozen=True):
    """Which certificate is whose, for TLS here and at the proxy: `subjects` by distinguished name (RFC 4514,
    compared by attributes), `names` by alternative name (`DNS:`, `URI:` or `email:` and the value)."""

    subjects: dict[str, str] = {}
    names: dict[str, str] = {}


class ApiKeySettings(Part, frozen=True):
    """Keys of machines, made by `plantops gateway key new`. The file holds no key, only its hash."""

    enabled: bool = True
    file: str = "gateway/api-keys.json"


DEMO_PEOPLE: Final = {"operator": "alice", "supervisor": "bob", "maintenance": "bob", "viewer": "carol"}


class DemoSettings(Part, frozen=True):
    """Believing the header `X-Roles`: for a demonstration on one machine, and refused anywhere else."""

    enabled: bool = False
    people: dict[str, str] = msgspec.field(default_factory=lambda: dict(DEMO_PEOPLE))


class DelegateSettings(Part, frozen=True):
    """One who may let the gateway carry operations out (`POST /delegate/...`), and who that is by the policy.

    `secret` refers to a secret of at least 32 characters, as `secret:basyx`; the table's name is the key id.
    """

    principal: str
    secret: SecretReference


class RateSettings(Part, frozen=True):
    """Token buckets: each of them fills at `per_minute` and holds `burst`; shared by all workers here."""

    per_minute: _Count = 60_000
    burst: _Count = 2000


class LimitSettings(Part, frozen=True):
    """What one caller may take; sizes in bytes.

    `header_seconds` is for the head of a request (and the TLS handshake), `body_seconds` for its body, and
    for an answer that nobody reads. `caller` counts the requests of one principal, `peer` those of one
    address before it is known who asks, `refused` the credentials of one address that proved nothing.
    `streams_per_caller` are those that one principal may have open at one worker.
    """

    body_bytes: _Count = 262_144
    header_bytes: _Count = 16_384
    header_seconds: _Seconds = 10.0
    body_seconds: _Seconds = 20.0
    keep_alive_seconds: _Seconds = 15.0
    connections: _Count = 2048
    streams_per_caller: _Count = 1024
    caller: RateSettings = RateSettings()
    peer: RateSettings = RateSettings(per_minute=120_000, burst=4000)
    refused: RateSettings = RateSettings(per_minute=30, burst=20)


class GatewaySettings(Part, frozen=True):
    """The HTTP gateway. `port` 0 takes a free one. `workers` are processes, each with its own connection.

    `metrics`: who may read `/metrics`. `stop_seconds` is how long requests under way may take to finish.
    """

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    tls: TlsSettings | None = None
    proxy: ProxySettings | None = None
    jwt: JwtSettings | None = None
    certificates: CertificateSettings = CertificateSettings()
    api_keys: ApiKeySettings = ApiKeySettings()
    demo: DemoSettings = DemoSettings()
    delegates: dict[str, DelegateSettings] = {}
    limits: LimitSettings = LimitSettings()
    metrics: Literal["anybody", "callers"] = "anybody"
    ask_seconds: _Seconds = 5.0
    stop_seconds: Annotated[float, Meta(gt=0, le=3.0)] = 2.5
