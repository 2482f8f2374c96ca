"""What notary, auditor and witness may do on the broker."""

from __future__ import annotations

from plantops.events.subjects import cosignature, dispute
from plantops.flow.declaration import ProcessSpec, Writes

NOTARY = "notary"
AUDITOR = "auditor"
WITNESS = "witness"


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
    return ProcessSpec(AUDITOR, account="AUDIT", lookups=("AUDIT", "CHECKPOINTS", "COSIGNATURES"))


def witness_spec(site: str) -> ProcessSpec:
    """Reads the log by its own lookups and says of each checkpoint whether it extends the last."""
    return ProcessSpec(
        WITNESS,
        account="AUDIT",
        writes=(
            Writes("COSIGNATURES", (cosignature(site, WITNESS),), ("checkpoint.cosigned",)),
            Writes("COSIGNATURES", (dispute(site, WITNESS),), ("checkpoint.disputed",)),
        ),
        lookups=("AUDIT", "CHECKPOINTS"),
    )
