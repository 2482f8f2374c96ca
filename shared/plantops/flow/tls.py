"""How a client knows that the broker is the right one: certificates, and nothing but TLS 1.2 and newer."""

from __future__ import annotations

import ssl
from pathlib import Path

from plantops.runtime.errors import SettingsError

ENCRYPTED = ("tls://", "wss://")


def is_encrypted(url: str) -> bool:
    """Whether a broker at `url` is spoken to over TLS only."""
    return url.startswith(ENCRYPTED)


def client_context(url: str, authority: Path | None) -> ssl.SSLContext | None:
    """What a client of the broker at `url` trusts; None for an unencrypted connection.

    With an `authority` (PEM) only certificates signed by it count, without one those that the operating
    system trusts. The certificate must name the host of the url.

    Raises: SettingsError when the file cannot be used, or stands beside an unencrypted url.
    """
    if not is_encrypted(url):
        if authority is not None:
            raise SettingsError(
                f"broker.ca is set, but {url!r} is not encrypted: write tls://host:port", setting="broker.url"
            )
        return None
    try:
        return ssl.create_default_context(cafile=str(authority) if authority else None)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            f"broker.ca: {authority} holds no certificate in PEM ({error.strerror or error}): "
            "give the file of who signed the broker's certificate",
            setting="broker.ca",
        ) from error
