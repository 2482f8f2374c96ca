"""Policies in files that somebody hands over: documents and envelopes, believed by nobody."""

from __future__ import annotations

from pathlib import Path

from plantops.deployment.roots import read
from plantops.ledger import dsse
from plantops.policy.document import POLICY_TYPE, Policy, decode_policy
from plantops.runtime.errors import SettingsError, TrustError


def policy_in(path: Path) -> Policy:
    """The policy in a document or in an envelope, whoever signed it. Raises: SettingsError."""
    data = read(path)
    try:
        envelope = dsse.decode(data)
    except TrustError:
        payload = data
    else:
        if envelope.payloadType != POLICY_TYPE:
            raise SettingsError(f"{path} holds {envelope.payloadType!r}, not a policy: give another file")
        try:
            payload = envelope.body()
        except TrustError as error:
            raise SettingsError(f"{path}: {error}") from error
    try:
        return decode_policy(payload)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: {error}", setting="policy") from error
