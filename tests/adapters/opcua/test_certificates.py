"""Whom the trust folder makes us believe."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asyncua.crypto.cert_gen import (
    generate_private_key,
    generate_self_signed_app_certificate,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from plantops.adapters.opcua.certificates import check_trusted, own_certificate
from plantops.adapters.opcua.config import OpcUaSettings
from plantops.runtime.errors import SettingsError


def signed_for(host: str, folder: Path, *, days: int = 10) -> x509.Certificate:
    """A server's certificate for `host`; its authority alone is laid into `folder`."""
    authority_key, key = generate_private_key(), generate_private_key()
    authority = generate_self_signed_app_certificate(authority_key, "authority", {}, [], [])
    (folder / "authority.der").write_bytes(authority.public_bytes(serialization.Encoding.DER))
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]))
        .issuer_name(authority.subject)
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
        .serial_number(x509.random_serial_number())
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def settings(folder: Path) -> OpcUaSettings:
    return OpcUaSettings(endpoint_url="opc.tcp://plc1:4840", trust_folder=str(folder))


async def test_a_certificate_that_a_laid_down_authority_signed_for_this_host_is_trusted(
    tmp_path: Path,
) -> None:
    await check_trusted(signed_for("PLC1", tmp_path), settings(tmp_path))


async def test_one_that_it_signed_for_another_host_is_not(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="for another host"):
        await check_trusted(signed_for("plc2", tmp_path), settings(tmp_path))


async def test_one_whose_time_is_over_is_not(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not trusted"):
        await check_trusted(signed_for("plc1", tmp_path, days=-1), settings(tmp_path))


async def test_without_a_trust_folder_nobody_is_trusted(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no folder"):
        await check_trusted(signed_for("plc1", tmp_path), settings(tmp_path / "none"))


def test_our_own_expired_certificate_is_not_shown(tmp_path: Path) -> None:
    old = signed_for("us", tmp_path, days=-1)
    (tmp_path / "old.der").write_bytes(old.public_bytes(serialization.Encoding.DER))
    (tmp_path / "old.pem").touch()
    given = OpcUaSettings(
        endpoint_url="opc.tcp://plc1:4840",
        certificate=str(tmp_path / "old.der"),
        private_key=str(tmp_path / "old.pem"),
    )
    with pytest.raises(SettingsError, match="has expired"):
        own_certificate(given)
