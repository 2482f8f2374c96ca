"""Client certificates: verified by TLS in the gateway itself, and named by their attributes."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from plantops.gateway.identity.certificates import Certificates
from plantops.gateway.identity.credentials import Unproved
from plantops.gateway.server import tls_context
from plantops.gateway.settings import CertificateSettings, GatewaySettings, JwtSettings, TlsSettings
from plantops.runtime.errors import SettingsError
from support.certificates import Authority, make_authority
from support.client_certificates import client_tls, issue_to
from support.gateway_frame import Frame, frame_of
from support.identity_provider import AUDIENCE, Provider

ALICE = x509.Name(
    [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Plant, Inc."),
        x509.NameAttribute(NameOID.COMMON_NAME, "alice"),
    ]
)
NAMED = CertificateSettings(
    subjects={"CN=alice,O=Plant\\, Inc.": "alice"},
    names={"URI:spiffe://plant.example/mes": "dave", "email:erin@plant.example": "erin"},
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = make_authority(tmp_path / "tls")
    made.issue("gateway")
    return made


def settings(*, required: bool = False, **changed: Any) -> GatewaySettings:
    tls = TlsSettings(
        certificate="tls/gateway.pem", key="tls/gateway.key", clients="tls/ca.pem", required=required
    )
    return GatewaySettings(port=0, tls=tls, certificates=NAMED, **changed)


@pytest.fixture
async def frame(tmp_path: Path, authority: Authority) -> AsyncIterator[Frame]:
    async with frame_of(tmp_path, settings()) as it:
        yield it


async def me(frame: Frame, tls: ssl.SSLContext, **headers: str) -> httpx.Response:
    async with frame.client(verify=tls, **headers) as client:
        return await client.get("/v1/me")


async def test_the_subject_of_the_certificate_says_who_asks(frame: Frame, authority: Authority) -> None:
    answer = await me(frame, client_tls(authority, issue_to(authority, "alice", ALICE)))
    assert answer.json()["name"] == "alice"
    assert answer.json()["how"] == "mtls"
    assert "strict-transport-security" in answer.headers


async def test_an_alternative_name_says_who_asks(frame: Frame, authority: Authority) -> None:
    nobody = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "machine")])
    uri = x509.UniformResourceIdentifier("spiffe://plant.example/mes")
    by_uri = await me(frame, client_tls(authority, issue_to(authority, "mes", nobody, [uri])))
    mail = x509.RFC822Name("erin@plant.example")
    by_mail = await me(frame, client_tls(authority, issue_to(authority, "erin", nobody, [mail])))
    assert (by_uri.json()["name"], by_mail.json()["name"]) == ("dave", "erin")


async def test_a_certificate_that_nobody_has_here_proves_nothing(frame: Frame, authority: Authority) -> None:
    other = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice")])
    answer = await me(frame, client_tls(authority, issue_to(authority, "other", other)))
    assert answer.status_code == 401


async def test_a_certificate_of_two_people_is_nobodys(frame: Frame, authority: Authority) -> None:
    uri = x509.UniformResourceIdentifier("spiffe://plant.example/mes")
    answer = await me(frame, client_tls(authority, issue_to(authority, "both", ALICE, [uri])))
    assert answer.status_code == 401


async def test_without_a_certificate_there_is_no_caller(frame: Frame, authority: Authority) -> None:
    assert (await me(frame, client_tls(authority))).status_code == 401


@pytest.mark.parametrize("header", ["X_SSL_Client_DN", "X_Forwarded_Client_Cert", "X_Client_Cert"])
async def test_no_header_stands_for_a_certificate(frame: Frame, authority: Authority, header: str) -> None:
    answer = await me(frame, client_tls(authority), **{header: "CN=alice,O=Plant\\, Inc."})
    assert answer.status_code == 401


async def test_a_certificate_of_another_authority_gets_no_connection(
    frame: Frame, authority: Authority, tmp_path: Path
) -> None:
    stranger = make_authority(tmp_path / "stranger")
    shown = client_tls(authority, issue_to(stranger, "alice", ALICE))
    with pytest.raises((httpx.ConnectError, httpx.ReadError, ssl.SSLError)):
        await me(frame, shown)


async def test_an_expired_certificate_gets_no_connection(frame: Frame, authority: Authority) -> None:
    old = issue_to(authority, "old", ALICE, ends=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises((httpx.ConnectError, httpx.ReadError, ssl.SSLError)):
        await me(frame, client_tls(authority, old))


async def test_where_a_certificate_is_required_nobody_connects_without(
    tmp_path: Path, authority: Authority
) -> None:
    async with frame_of(tmp_path, settings(required=True)) as frame:
        with pytest.raises((httpx.ConnectError, httpx.ReadError, ssl.SSLError)):
            await me(frame, client_tls(authority))
        answer = await me(frame, client_tls(authority, issue_to(authority, "alice", ALICE)))
    assert answer.status_code == 200


async def test_a_token_bound_to_a_certificate_counts_on_its_connection_only(
    tmp_path: Path, authority: Authority
) -> None:
    provider = Provider()
    provider.make("one")
    provider.write(tmp_path / "jwks.json")
    jwt = JwtSettings(issuer=provider.issuer, audience=AUDIENCE, jwks="jwks.json")
    mine, other = issue_to(authority, "alice", ALICE), issue_to(authority, "other", ALICE)
    der = x509.load_pem_x509_certificate(mine.read_bytes()).public_bytes(Encoding.DER)
    bound = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
    bearer = f"Bearer {provider.token(sub='dave', cnf={'x5t#S256': bound})}"
    async with frame_of(tmp_path, settings(jwt=jwt)) as frame:
        right = await me(frame, client_tls(authority, mine), Authorization=bearer)
        wrong = await me(frame, client_tls(authority, other), Authorization=bearer)
        none = await me(frame, client_tls(authority), Authorization=bearer)
    assert right.json()["name"] == "dave"
    assert (wrong.status_code, none.status_code) == (401, 401)


# Names


@pytest.mark.parametrize(
    "written",
    [
        "CN=alice,O=Plant\\, Inc.",
        "CN=alice,O=Plant\\2C Inc.",
        "2.5.4.3=alice,O=Plant\\, Inc.",
        "CN=\\61lice,O=Plant\\, Inc.",
    ],
)
def test_a_subject_is_compared_by_its_attributes_however_it_is_written(written: str) -> None:
    names = Certificates.read(CertificateSettings(subjects={written: "alice"}))
    assert names.named(ALICE, ()) == "alice"


@pytest.mark.parametrize(
    "written", ["O=Plant\\, Inc.,CN=alice", "CN=Alice,O=Plant\\, Inc.", "CN=alice", "CN=alice,O=Plant"]
)
def test_another_subject_is_another_person(written: str) -> None:
    names = Certificates.read(CertificateSettings(subjects={written: "alice"}))
    with pytest.raises(Unproved):
        names.named(ALICE, ())


@pytest.mark.parametrize("written", ["alice", "/O=Plant/CN=alice", "CN"])
def test_what_is_no_distinguished_name_stops_the_start(written: str) -> None:
    with pytest.raises(SettingsError, match="distinguished name"):
        Certificates.read(CertificateSettings(subjects={written: "alice"}))


def test_a_name_without_its_kind_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="DNS:"):
        Certificates.read(CertificateSettings(names={"plant.example": "alice"}))


def test_tls_files_that_are_not_there_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TLS files"):
        tls_context(TlsSettings(certificate="a.pem", key="a.key"), tmp_path)
    with pytest.raises(SettingsError, match="authorities"):
        tls_context(TlsSettings(certificate="a.pem", key="a.key", required=True), tmp_path)
