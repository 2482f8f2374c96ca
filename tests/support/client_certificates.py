"""Certificates of clients, by an authority to throw away (`support.certificates`)."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.certificates import Authority


def issue_to(
    authority: Authority,
    file: str,
    subject: x509.Name,
    names: Sequence[x509.GeneralName] = (),
    *,
    ends: datetime | None = None,
) -> Path:
    """A client's certificate with its key in one file, FILE.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(ends or now + timedelta(days=2))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    made = builder.sign(authority.key, hashes.SHA256())
    path = authority.folder / f"{file}.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return path


def client_tls(authority: Authority, certificate: Path | None = None) -> ssl.SSLContext:
    """Trusts this authority, and shows this certificate."""
    context = ssl.create_default_context(cafile=str(authority.folder / "ca.pem"))
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context
