"""What notary and auditor may do on the broker, and whose audit records count."""

from __future__ import annotations

from plantops.flow.declaration import ProcessSpec, Writes
from plantops.ledger.keys import VerifyKey
from plantops.ledger.record import Trusted
from plantops.policy.document import Policy

NOTARY = "notary"
AUDITOR = "auditor"


def notary_spec(site: str) -> ProcessSpec:
    """Reads AUDIT by lookups, so that two notaries never take messages from each other."""
    return ProcessSpec(
        NOTARY,
        account="AUDIT",
        writes=(Writes("CHECKPOINTS", (f"checkpoint.{site}",), ("checkpoint.signed", "checkpoint.refused")),),
        lookups=("AUDIT",),
        serves=(f"head.{site}.*",),
        snapshots=True,
    )


def auditor_spec(site: str) -> ProcessSpec:  # noqa: ARG001 - every spec is made from the site
    """Reads, and nothing else."""
    return ProcessSpec(AUDITOR, account="AUDIT", lookups=("AUDIT", "CHECKPOINTS"))


def writers_of(*policies: Policy) -> Trusted:
    """The keys of every process; of several policies together, so that records before a change of keys count.

    Raises: SettingsError when a key is none.
    """
    writers: dict[str, dict[str, VerifyKey]] = {}
    for policy in policies:
        for name, principal in policy.principals.items():
            if principal.kind == "process":
                keys = map(VerifyKey.from_base64, principal.keys)
                writers.setdefault(name, {}).update((key.keyid, key) for key in keys)
    return writers


def notary_keys(*policies: Policy) -> tuple[VerifyKey, ...]:
    """The keys of those whose role it is to sign checkpoints. Raises: as `writers_of`."""
    found = [
        VerifyKey.from_base64(text)
        for policy in policies
        for principal in policy.principals.values()
        if principal.kind == "process" and NOTARY in principal.roles
        for text in principal.keys
    ]
    return tuple(dict.fromkeys(found))
