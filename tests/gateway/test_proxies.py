"""A named proxy may say whose certificate it saw and where the caller is; nobody else may."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from plantops.gateway.identity.certificates import Certificates
from plantops.gateway.identity.credentials import Credentials, Unproved
from plantops.gateway.identity.proxies import Proxies, read_xfcc
from plantops.gateway.settings import CertificateSettings, GatewaySettings, ProxySettings
from plantops.runtime.errors import SettingsError
from support.gateway_frame import frame_of

NAMES = Certificates.read(
    CertificateSettings(
        subjects={"CN=alice,O=Plant\\, Inc.": "alice"}, names={"URI:spiffe://plant.example/mes": "dave"}
    )
)
NGINX = ProxySettings(
    peers=("10.0.0.0/24",),
    header="X-SSL-Client-DN",
    verified="X-SSL-Client-Verify",
    forwarded="X-Forwarded-For",
)
ENVOY = ProxySettings(peers=("10.0.0.1", "2001:db8::1"), header="x-forwarded-client-cert", format="xfcc")


def asked(peer: str = "10.0.0.1", **headers: str | list[str]) -> Credentials:
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Credentials(
        peer, {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    )


def who(settings: ProxySettings, credentials: Credentials) -> str:
    return Proxies.read(settings).principal(credentials, NAMES)


def test_a_proxy_that_verified_the_certificate_is_believed() -> None:
    said = asked(X_SSL_Client_DN="CN=alice,O=Plant\\, Inc.", X_SSL_Client_Verify="SUCCESS")
    assert who(NGINX, said) == "alice"


def test_the_same_from_anybody_else_is_not_read() -> None:
    said = asked("192.0.2.7", X_SSL_Client_DN="CN=alice,O=Plant\\, Inc.", X_SSL_Client_Verify="SUCCESS")
    assert who(NGINX, said) == ""


@pytest.mark.parametrize("verdict", ["FAILED:expired", "NONE", "", "success"])
def test_a_certificate_that_the_proxy_did_not_verify_proves_nothing(verdict: str) -> None:
    with pytest.raises(Unproved):
        who(NGINX, asked(X_SSL_Client_DN="CN=alice,O=Plant\\, Inc.", X_SSL_Client_Verify=verdict))


def test_a_header_that_stands_there_twice_proves_nothing() -> None:
    with pytest.raises(Unproved):
        who(
            NGINX,
            asked(X_SSL_Client_DN=["CN=alice,O=Plant\\, Inc.", "CN=bob"], X_SSL_Client_Verify="SUCCESS"),
        )


@pytest.mark.parametrize(
    "text", ["/O=Plant, Inc./CN=alice", "CN=alice,O=Plant, Inc.", "CN=alice,O=Plant\\, Inc.,", "alice"]
)
def test_a_subject_that_is_not_written_as_rfc_4514_says_proves_nothing(text: str) -> None:
    with pytest.raises(Unproved):
        who(NGINX, asked(X_SSL_Client_DN=text, X_SSL_Client_Verify="SUCCESS"))


def test_envoys_header_is_parsed_by_its_grammar() -> None:
    text = 'By=spiffe://x/gw;Hash=ab12;Subject="CN=alice,O=Plant\\, Inc.";DNS=a.example;DNS=b.example'
    assert read_xfcc(text) == {
        "by": ["spiffe://x/gw"],
        "hash": ["ab12"],
        "subject": ["CN=alice,O=Plant\\, Inc."],
        "dns": ["a.example", "b.example"],
    }
    assert who(ENVOY, asked(x_forwarded_client_cert=text)) == "alice"
    assert (
        who(ENVOY, asked("2001:db8::1", x_forwarded_client_cert="URI=spiffe://plant.example/mes")) == "dave"
    )


@pytest.mark.parametrize(
    "text",
    [
        'Subject="CN=bob",Subject="CN=alice,O=Plant\\, Inc."',
        'Subject="CN=bob";Subject="CN=alice,O=Plant\\, Inc."',
        'Subject="CN=alice,O=Plant\\, Inc.",Subject="CN=proxy"',
        'Subject="CN=alice',
        "nonsense",
        "",
        ";",
    ],
)
def test_envoys_header_with_two_meanings_proves_nothing(text: str) -> None:
    if not text:
        assert who(ENVOY, asked(x_forwarded_client_cert=text)) == ""
        return
    with pytest.raises(Unproved):
        who(ENVOY, asked(x_forwarded_client_cert=text))


def test_a_name_inside_of_quotes_is_no_field() -> None:
    with pytest.raises(Unproved):
        who(ENVOY, asked(x_forwarded_client_cert='Subject="CN=x;URI=spiffe://plant.example/mes"'))


@pytest.mark.parametrize(
    ("peer", "chain", "address"),
    [
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, garbage", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("192.0.2.7", "198.51.100.7", "192.0.2.7"),
    ],
)
def test_the_callers_address_is_the_last_that_no_proxy_has(peer: str, chain: str, address: str) -> None:
    assert Proxies.read(NGINX).caller_address(asked(peer, X_Forwarded_For=chain)) == address


@pytest.mark.parametrize("peers", [(), ("0.0.0.0/0",), ("::/0",), ("somewhere",)])
def test_everybody_is_no_proxy(peers: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError):
        Proxies.read(ProxySettings(peers=peers))


async def test_over_http_the_named_proxy_alone_is_believed(tmp_path: Path) -> None:
    names = CertificateSettings(subjects={"CN=alice": "alice"})
    for peer, status in (("127.0.0.1", 200), ("192.0.2.1", 401)):
        proxy = ProxySettings(peers=(peer,), header="X-SSL-Client-DN", verified="X-SSL-Client-Verify")
        made = GatewaySettings(port=0, proxy=proxy, certificates=names)
        async with frame_of(tmp_path, made) as frame, frame.client() as client:
            answer = await client.get(
                "/v1/me", headers={"X-SSL-Client-DN": "CN=alice", "X-SSL-Client-Verify": "SUCCESS"}
            )
        assert answer.status_code == status
        if status == 200:
            assert answer.json()["how"] == "proxy"


def test_a_distinguished_name_survives_writing() -> None:
    assert (
        x509.Name.from_rfc4514_string("CN=alice,O=Plant\\, Inc.").rfc4514_string()
        == "CN=alice,O=Plant\\, Inc."
    )
