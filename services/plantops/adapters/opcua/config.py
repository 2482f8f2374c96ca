"""Settings of an OPC UA connection."""

from __future__ import annotations

from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from plantops.runtime.errors import SettingsError

PolicyName: TypeAlias = Literal["none", "basic256sha256", "aes128sha256rsaoaep", "aes256sha256rsapss"]
ModeName: TypeAlias = Literal["none", "sign", "sign_and_encrypt"]


class OpcUaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[connection]` of a source with `adapter = "opcua"`; `sample.toml` explains every key.

    `password` is a secret reference. Paths are as the process sees them. Intervals of 0 mean the period of
    the group.
    """

    endpoint_url: str
    security_policy: PolicyName = "none"
    security_mode: ModeName = "none"
    username: str = ""
    password: str = ""
    application_uri: str = "urn:plantops:adapter:opcua"
    certificate: str = ""
    private_key: str = ""
    state_folder: str = ""
    server_certificate: str = ""
    trust_folder: str = ""
    trust_any: bool = False
    publishing_interval_ms: int = 0
    sampling_interval_ms: int = 0
    queue_size: int = 10
    server_deadband: Literal["none", "absolute", "percent"] = "none"
    deadband_percent: float = 0.0
    max_nodes_per_call: int = 500
    retry_seconds: float = 60.0
    browse_root: str = "i=85"
    browse_limit: int = 10_000

    @property
    def is_secured(self) -> bool:
        return self.security_policy != "none"


def check_settings(settings: OpcUaSettings) -> None:
    """Raises: SettingsError naming the first key that is wrong and what to write instead."""
    _check_endpoint(settings.endpoint_url)
    _check_security(settings)
    for name, low, high in (
        ("publishing_interval_ms", 0, 3_600_000),
        ("sampling_interval_ms", 0, 3_600_000),
        ("queue_size", 1, 10_000),
        ("deadband_percent", 0, 100),
        ("max_nodes_per_call", 1, 10_000),
        ("retry_seconds", 0.1, 86_400),
        ("browse_limit", 1, 1_000_000),
    ):
        value = getattr(settings, name)
        if not low <= value <= high:
            raise SettingsError(f"{name} = {value!r} is not in {low}..{high}", setting=name)
    if settings.server_deadband == "percent" and settings.deadband_percent == 0:
        raise SettingsError(
            "server_deadband is 'percent' but deadband_percent is 0: set it", setting="deadband_percent"
        )


def _check_endpoint(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "opc.tcp" and bool(parts.hostname) and bool(parts.port)
    except ValueError:
        usable = False
        parts = None
    if not usable:
        raise SettingsError(
            f"endpoint_url {url!r}: write it as opc.tcp://host:port/path", setting="endpoint_url"
        )
    if parts is not None and parts.username is not None:
        raise SettingsError(
            "endpoint_url holds a user name: give username and password as settings of their own",
            setting="endpoint_url",
        )


def _check_security(settings: OpcUaSettings) -> None:
    if settings.is_secured != (settings.security_mode != "none"):
        raise SettingsError(
            f"security_policy {settings.security_policy!r} and security_mode {settings.security_mode!r} do "
            "not go together: both 'none', or a policy with 'sign' or 'sign_and_encrypt'",
            setting="security_mode",
        )
    if bool(settings.username) != bool(settings.password):
        raise SettingsError("username and password go together: give both or neither", setting="password")
    if not settings.is_secured:
        return
    if bool(settings.certificate) != bool(settings.private_key):
        raise SettingsError("certificate and private_key go together", setting="private_key")
    if not settings.certificate and not settings.state_folder:
        raise SettingsError(
            "a secured connection needs a client certificate: give certificate and private_key, or a "
            "state_folder in which they are made",
            setting="state_folder",
        )
    ways = [bool(settings.server_certificate), bool(settings.trust_folder), settings.trust_any]
    if sum(ways) != 1:
        raise SettingsError(
            "say whom to trust by exactly one of server_certificate, trust_folder and trust_any = true",
            setting="server_certificate",
        )
