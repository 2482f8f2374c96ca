"""Delegated operations over HTTP: a server carries them out whole (BaSyx delegation, AAS asynchronous)."""

from __future__ import annotations

from typing import Any

from plantops.adapters.contract import AdapterSpec, Capabilities, Connection, Secrets
from plantops.adapters.delegate.config import DelegateSettings, cautions
from plantops.events.tags import Kind, SourceDefined
from plantops.runtime.errors import SettingsError


def kind_of(address: str) -> Kind:
    """Never returns. Raises: SettingsError, since a delegate has no tags."""
    raise SettingsError(
        f"address {address!r}: a delegate has operations and no tags; take the tag out of its source file",
        setting="address",
    )


def build(definition: SourceDefined, settings: Any, timeout_seconds: float, secrets: Secrets) -> Connection:
    """As `AdapterSpec.build` says."""
    # Who only reads settings does not need the library.
    from plantops.adapters.delegate.connection import build as build_connection  # noqa: PLC0415

    return build_connection(definition, settings, timeout_seconds, secrets)


SPEC = AdapterSpec(
    name="delegate",
    settings=DelegateSettings,
    # `subscribe`: the connection itself looks whether the delegate is there, since there is nothing to poll.
    capabilities=Capabilities(subscribe=True, concurrent=True, invoke=True),
    kind_of=kind_of,
    build=build,
    cautions=cautions,
)
