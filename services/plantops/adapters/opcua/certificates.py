"""Our own certificate, and whether the server's is trusted."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog
from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from asyncua.crypto.truststore import TrustStore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from plantops.adapters.opcua.config import OpcUaSettings
from plantops.runtime.errors import SettingsError

log = structlog.get_logger()

# A server's operator must trust a new certificate by hand, so it is not renewed on our own account.
_VALID_DAYS: Final = 5 * 365
_WARN_BEFORE: Final = timedelta(days=60)


def own_certificate(settings: OpcUaSettings) -> tuple[Path, Path]:
    """(certificate, private key), made once in the state folder (key 0600) where no paths are given.

    Raises: SettingsError when a file is missing, cannot be written, or the certificate has expired.
    """
    if settings.certificate:
        certificate, key = Path(settings.certificate), Path(settings.private_key)
    else:
        certificate, key = _made(Path(settings.state_folder), settings.application_uri)
    left = _load(certificate, "certificate").not_valid_after_utc - datetime.now(UTC)
    if left < timedelta(0):
        raise SettingsError(
            f"our certificate {certificate} has expired: remove it and its key, start again, and trust the "
            "new one at the server",
            setting="certificate",
        )
    if left < _WARN_BEFORE:
        log.warning("opcua.certificate_expires", certificate=str(certificate), days=left.days)
    if not key.is_file():
        raise SettingsError(f"no private key at {key}: mend the path", setting="private_key")
    return certificate, key


async def check_trusted(server: x509.Certificate, settings: OpcUaSettings) -> None:
    """Pass for the pinned certificate, one in the trust folder, or one signed by an authority there.

    One signed by an authority must name the endpoint's host and be in its time; a pinned or laid-down one
    is believed as it is. Raises: SettingsError naming the certificate's fingerprint and how to trust it.
    """
    if settings.trust_any:
        log.warning(
            "opcua.any_certificate_trusted", endpoint=settings.endpoint_url, fingerprint=fingerprint(server)
        )
        return
    if settings.server_certificate:
        if server != _load(Path(settings.server_certificate), "server_certificate"):
            raise _untrusted(server, settings, f"it is not the one in {settings.server_certificate}")
        return
    folder = Path(settings.trust_folder)
    if server in await asyncio.to_thread(_laid_down, folder):
        return
    store = TrustStore([folder], [])
    await store.load()
    if not store.is_trusted(server):
        raise _untrusted(server, settings, f"neither it nor who signed it is in {folder}")
    if not _names_host(server, urlsplit(settings.endpoint_url).hostname or ""):
        raise _untrusted(server, settings, "it is signed by a trusted authority but for another host")


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over the DER form, as people compare it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":")


def _made(folder: Path, application_uri: str) -> tuple[Path, Path]:
    certificate, key = folder / "client.der", folder / "client.pem"
    if certificate.is_file() and key.is_file():
        return certificate, key
    private_key = generate_private_key()
    made = generate_self_signed_app_certificate(
        private_key,
        application_uri,
        {},
        [x509.UniformResourceIdentifier(application_uri), x509.DNSName(socket.gethostname())],
        [ExtendedKeyUsageOID.CLIENT_AUTH],
        days=_VALID_DAYS,
    )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key.unlink(missing_ok=True)
        descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(dump_private_key_as_pem(private_key))
        certificate.write_bytes(made.public_bytes(serialization.Encoding.DER))
    except OSError as error:
        raise SettingsError(
            f"cannot make our certificate in {folder}: {error.strerror}", setting="state_folder"
        ) from error
    log.info("opcua.certificate_made", certificate=str(certificate), fingerprint=fingerprint(made))
    return certificate, key


def _laid_down(folder: Path) -> list[x509.Certificate]:
    if not folder.is_dir():
        raise SettingsError(f"no folder {str(folder)!r}: make it, or mend the path", setting="trust_folder")
    return [
        _load(path, "trust_folder")
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in (".der", ".pem", ".crt", ".cer")
    ]


def _load(path: Path, setting: str) -> x509.Certificate:
    try:
        content = path.read_bytes()
        if content.startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except OSError as error:
        raise SettingsError(f"cannot read certificate {path}: {error.strerror}", setting=setting) from error
    except ValueError as error:
        raise SettingsError(f"{path} is no X.509 certificate in DER or PEM", setting=setting) from error


def _names_host(certificate: x509.Certificate, host: str) -> bool:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        return host.lower() in (name.lower() for name in names.get_values_for_type(x509.DNSName))


def _untrusted(server: x509.Certificate, settings: OpcUaSettings, why: str) -> SettingsError:
    return SettingsError(
        f"the certificate of {settings.endpoint_url} is not trusted: {why}. SHA-256 {fingerprint(server)}. "
        "Compare it with the server's own, then save it as server_certificate or into the trust_folder",
        setting="server_certificate",
    )
