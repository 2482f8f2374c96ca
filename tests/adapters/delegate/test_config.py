"""Settings: what would let somebody else command, or lead elsewhere, is refused before anything is opened."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from plantops.adapters.contract import GroupSettings, SourceSettings, TagSettings
from plantops.adapters.definition import definition_of
from plantops.adapters.delegate import SPEC
from plantops.adapters.delegate.config import DelegateSettings, cautions
from plantops.adapters.delegate.place import job_url, operation_url
from plantops.adapters.registry import adapter
from plantops.runtime.errors import (
    DeviceProtocolError,
    DeviceUnavailable,
    SettingsError,
    WriteRejected,
)
from plantops.simulation.certificate import application_certificate
from plantops.simulation.delegate.server import DelegateServer
from support.delegates import FLUSH, KEYS, PATIENCE_SECONDS, delegate

HOME = "http://127.0.0.1:9"
AWAY = "http://delegate.example"


async def test_building_opens_nothing() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        delegate(f"http://127.0.0.1:{listener.getsockname()[1]}")
        await asyncio.sleep(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    ("url", "settings", "setting"),
    [
        (AWAY, {}, "url"),
        ("http://127.0.0.1.example", {}, "url"),
        ("ftp://127.0.0.1", {}, "url"),
        ("127.0.0.1:80", {}, "url"),
        ("https://", {}, "url"),
        ("https://a b", {}, "url"),
        ("https://é.example", {}, "url"),
        ("https://a:99999", {}, "url"),
        ("https://a:0", {}, "url"),
        ("https://[::1", {}, "url"),
        ("https://who:secret@a", {}, "url"),
        ("https://a/?x=1", {}, "url"),
        ("https://a/#x", {}, "url"),
        ("https://a/%2e%2e", {}, "url"),
        (HOME, {"key_id": ""}, "key_id"),
        (HOME, {"secret": ""}, "key_id"),
        (HOME, {"key_id": "", "secret": ""}, "key_id"),
        (HOME, {"unsigned": True, "key_id": "a", "secret": "secret:a"}, "unsigned"),
        (HOME, {"key_id": "a;b"}, "key_id"),
        (HOME, {"body": "plain"}, "body"),
        (HOME, {"simulate_by": "context", "protocol": "async"}, "simulate_by"),
        (HOME, {"jobs": "/jobs"}, "jobs"),
        (HOME, {"jobs": "jobs/{id}"}, "jobs"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_their_name(
    url: str, settings: dict[str, Any], setting: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        delegate(url, **settings)
    assert refused.value.setting == setting
    assert "secret@" not in refused.value.message


async def test_a_file_of_certificates_that_is_not_there_is_a_settings_error() -> None:
    with pytest.raises(SettingsError) as refused:
        await delegate("https://127.0.0.1:9", ca="/nowhere/ca.pem").connect()
    assert refused.value.setting == "ca"


@pytest.mark.parametrize(
    "url", ["https://a.example/api", "http://localhost:1", "http://[::1]:1", "http://127.9.9.9"]
)
def test_tls_is_due_beyond_this_machine_only(url: str) -> None:
    delegate(url)
    delegate(AWAY, insecure=True)


def test_what_is_less_than_safe_is_told() -> None:
    told = cautions(msgspec.convert({"url": AWAY, "insecure": True, "unsigned": True}, DelegateSettings))
    assert [line.partition(" = ")[0] for line in told] == ["insecure", "unsigned"]
    assert cautions(DelegateSettings(url="https://a", key_id="a", secret="secret:a", insecure=True)) == ()


def test_a_delegate_with_tags_and_another_source_without_are_settings_errors() -> None:
    groups = (GroupSettings(name="all", period_ms=100),)
    tagged = SourceSettings(adapter="delegate", groups=groups, tags=(TagSettings(name="t", address="a"),))
    with pytest.raises(SettingsError, match="no tags"):
        definition_of("demo", "flusher", tagged, SPEC)
    with pytest.raises(SettingsError, match=r"no \[\[tags\]\]"):
        definition_of("demo", "plc", SourceSettings(adapter="modbus", groups=groups), adapter("modbus"))


# --- where operations and jobs are

SETTINGS = DelegateSettings(url="https://a.example:8443/api", jobs="/jobs/{id}", unsigned=True)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "../x",
        "a/../b",
        "a/./b",
        "//b.example/x",
        "a//b",
        "a?b",
        "a#b",
        "a%2fb",
        "a\nb",
        "é",
        "a b",
        "\\b",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_rejected(path: str) -> None:
    with pytest.raises(WriteRejected):
        operation_url(SETTINGS, path, simulate=False)


def test_an_operation_lies_below_the_delegates_address() -> None:
    assert operation_url(SETTINGS, "pump/Flush", False) == "https://a.example:8443/api/pump/Flush"
    assert operation_url(SETTINGS, "/pump/$invoke", True) == "https://a.example:8443/api/pump/$invoke"


@pytest.mark.parametrize(
    "location",
    [
        "http://a.example:8443/x",
        "https://b.example:8443/x",
        "https://a.example/x",
        "//b.example/x",
        "https://a.example:8443@b.example/x",
        "https://u@a.example:8443/x",
        "file:///x",
        "/a b",
        "/é",
        "https://[",
    ],
)
def test_a_job_elsewhere_is_an_error(location: str) -> None:
    with pytest.raises(DeviceProtocolError):
        job_url(SETTINGS, location, "", "https://a.example:8443/api/pump/Flush")


def test_a_job_is_where_its_location_or_its_name_says() -> None:
    base = "https://a.example:8443/api/pump/Flush"
    assert job_url(SETTINGS, "../jobs/1?x=2", "", base) == "https://a.example:8443/api/jobs/1?x=2"
    assert job_url(SETTINGS, "", "a/../b?c", base) == "https://a.example:8443/api/jobs/a%2F..%2Fb%3Fc"
    for name in ("", "..", ".", "x" * 201):
        with pytest.raises(DeviceProtocolError):
            job_url(SETTINGS, "", name, base)


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 (PEM) and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made = application_certificate(folder, "delegate", "urn:plantops:delegate")
    pem = folder / "delegate.crt"
    loaded = x509.load_der_x509_certificate(made.certificate.read_bytes())
    pem.write_bytes(loaded.public_bytes(serialization.Encoding.PEM))
    return pem, made.private_key


async def test_a_delegate_is_spoken_to_over_tls_when_its_certificate_is_known(
    certificate: tuple[Path, Path],
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    async with asyncio.timeout(PATIENCE_SECONDS), DelegateServer(KEYS, tls=context) as server:
        connection = delegate(server.url, ca=str(certificate[0]))
        await connection.connect()
        assert (await connection.invoke(FLUSH, "c1", simulate=False)).state == "completed"
        await connection.close()
        with pytest.raises(DeviceUnavailable, match="certificate"):
            await delegate(server.url).connect()
        assert len(server.requests) == 2
