"""A small but whole plant to attack: two adapters, twin, gate, notary, auditor and two persons."""

from __future__ import annotations

from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.processor import Reads

SITE = "demo"
PERSONS = ("alice", "bob")


def adapter(name: str, source: str) -> ProcessSpec:
    return ProcessSpec(
        name,
        reads=(Reads("COMMANDS", (f"cmd.{SITE}.permitted.gate.*",), kind="effect"),),
        writes=(
            Writes("TAGS", (f"tag.{SITE}.{source}",)),
            Writes("SOURCES", (f"source.{SITE}.{source}.*",)),
            Writes("DEFINITIONS", (f"definition.{SITE}.{source}.*",)),
            Writes("COMMANDS", (f"cmd.{SITE}.claimed.{name}.*", f"cmd.{SITE}.executed.{name}.*")),
            Writes("DEAD", (f"dead.{name}",)),
        ),
        lookups=("COMMANDS", "SOURCES"),
        asks=(f"twin.{SITE}.observe",),
        audits=True,
    )


SPECS = (
    adapter("adapter-plc1", "plc1"),
    adapter("adapter-plc2", "plc2"),
    ProcessSpec(
        "twin",
        reads=(Reads("TAGS", (f"tag.{SITE}.*",)), Reads("SOURCES", (f"source.{SITE}.*.*",))),
        writes=(Writes("DEAD", ("dead.twin",)),),
        lookups=("DEFINITIONS",),
        serves=(f"twin.{SITE}.observe",),
        public=(f"twin.{SITE}.*",),
        audits=True,
        snapshots=True,
    ),
    ProcessSpec(
        "gate",
        reads=(Reads("INTENTS", (f"intent.{SITE}.*.*.*",)), Reads("APPROVALS", (f"approval.{SITE}.*.*",))),
        writes=(
            Writes("COMMANDS", (f"cmd.{SITE}.*.gate.*",)),
            Writes("INTENTS", (f"intent.{SITE}.*.*.*",)),
            Writes("APPROVALS", (f"approval.{SITE}.*.*",)),
        ),
        lookups=("POLICY",),
        public=(f"command.{SITE}.*",),
        door=(f"door.intent.{SITE}.>", f"door.approval.{SITE}.>"),
        asks=(f"twin.{SITE}.observe",),
        audits=True,
        snapshots=True,
    ),
    ProcessSpec(
        "notary",
        account="AUDIT",
        reads=(Reads("AUDIT", (">",)),),
        writes=(Writes("CHECKPOINTS", (f"checkpoint.{SITE}",)),),
        lookups=("AUDIT",),
        serves=(f"head.{SITE}.*",),
        snapshots=True,
    ),
    ProcessSpec("auditor", account="AUDIT", lookups=("AUDIT", "CHECKPOINTS")),
)

IDENTITIES = (*(spec.name for spec in SPECS), *PERSONS)
