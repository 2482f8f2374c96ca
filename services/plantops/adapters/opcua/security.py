"""User, policy and certificates of a client, settled before a secret leaves this process."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from asyncua import Client, ua
from asyncua.crypto import security_policies
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from plantops.adapters.opcua.certificates import check_trusted, own_certificate
from plantops.adapters.opcua.config import ModeName, OpcUaSettings, PolicyName
from plantops.runtime.errors import SettingsError
from plantops.runtime.secrets import Secret

log = structlog.get_logger()

_POLICIES: Final[dict[PolicyName, type[security_policies.SecurityPolicy]]] = {
    "basic256sha256": security_policies.SecurityPolicyBasic256Sha256,
    "aes128sha256rsaoaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "aes256sha256rsapss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_MODES: Final[dict[ModeName, ua.MessageSecurityMode]] = {
    "none": ua.MessageSecurityMode.None_,
    "sign": ua.MessageSecurityMode.Sign,
    "sign_and_encrypt": ua.MessageSecurityMode.SignAndEncrypt,
}


async def secure(client: Client, settings: OpcUaSettings, password: Secret | None) -> None:
    """Set user, certificates and policy of `client`; a secured one asks the server for its endpoints first.

    Raises: SettingsError when the server's certificate is not trusted or the policy is not offered.
    """
    client.application_uri = settings.application_uri
    if password is not None:
        client.set_user(settings.username)
        client.set_password(password)
    if not settings.is_secured:
        if password is not None:
            log.warning("opcua.user_over_unsecured", endpoint=settings.endpoint_url, user=settings.username)
        return
    policy, mode = _POLICIES[settings.security_policy], _MODES[settings.security_mode]
    certificate, private_key = await asyncio.to_thread(own_certificate, settings)
    endpoints = await client.connect_and_get_server_endpoints()
    server = _certificate_of(endpoints, policy.URI, mode, settings)
    await check_trusted(server, settings)
    # The channel is opened with what was just checked: only the holder of its private key can answer.
    await client.set_security(
        policy,
        certificate,
        private_key,
        server_certificate=server.public_bytes(serialization.Encoding.DER),
        mode=mode,
    )


def _certificate_of(
    endpoints: list[ua.EndpointDescription],
    policy: str,
    mode: ua.MessageSecurityMode,
    settings: OpcUaSettings,
) -> x509.Certificate:
    for endpoint in endpoints:
        if (
            endpoint.SecurityPolicyUri == policy
            and endpoint.SecurityMode == mode
            and endpoint.ServerCertificate
        ):
            return x509.load_der_x509_certificate(_first(endpoint.ServerCertificate))
    offered = {f"{str(e.SecurityPolicyUri).rpartition('#')[2]} {e.SecurityMode.name}" for e in endpoints}
    raise SettingsError(
        f"{settings.endpoint_url} does not offer {settings.security_policy} with {settings.security_mode}; "
        f"it offers: {', '.join(sorted(offered))}",
        setting="security_policy",
    )


def _first(chain: bytes) -> bytes:
    """The server's own certificate where issuers follow it (OPC UA Part 6, 6.2.6): the first DER sequence."""
    # X.690 8.1.3: 0x82 says that two bytes of length follow, as for every certificate of 256 to 65535 bytes.
    if chain[:2] != b"\x30\x82":
        return chain
    return chain[: 4 + int.from_bytes(chain[2:4], "big")]
