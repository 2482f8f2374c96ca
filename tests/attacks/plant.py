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

# Written down by hand, so that a right that is generated too wide does not excuse itself.
OWNERS: dict[str, tuple[str, ...]] = {
    "tag.demo.plc1": ("adapter-plc1",),
    "tag.demo.plc2": ("adapter-plc2",),
    "source.demo.plc1.lease": ("adapter-plc1",),
    "definition.demo.plc1.abc": ("adapter-plc1",),
    "cmd.demo.permitted.gate.c1": ("gate",),
    "cmd.demo.generation_raised.gate.pump": ("gate",),
    "cmd.demo.claimed.adapter-plc1.c1": ("adapter-plc1",),
    "cmd.demo.executed.adapter-plc2.c1": ("adapter-plc2",),
    "intent.demo.alice.pump.Start": ("alice", "gate"),
    "intent.demo.bob.pump.Start": ("bob", "gate"),
    "approval.demo.alice.c1": ("alice", "gate"),
    "approval.demo.bob.c1": ("bob", "gate"),
    "audit.demo.gate": ("gate",),
    "audit.demo.twin": ("twin",),
    "audit.demo.adapter-plc1": ("adapter-plc1",),
    "head.demo.twin": ("twin",),
    "checkpoint.demo": ("notary",),
    "policy.demo": (),
    "dead.twin": ("twin",),
    "$KV.snapshot-gate.state": ("gate",),
    "$KV.snapshot-twin.state": ("twin",),
    "$JS.API.CONSUMER.MSG.NEXT.TAGS.twin": ("twin",),
    "$JS.API.CONSUMER.RESET.TAGS.twin": ("twin",),
    "$JS.API.CONSUMER.MSG.NEXT.COMMANDS.adapter-plc1": ("adapter-plc1",),
    "$JS.API.CONSUMER.RESET.COMMANDS.adapter-plc1": (),
    "$JS.ACK.TAGS.twin.1.1.1.1.0": ("twin",),
    "$JS.ACK.hub.acc.TAGS.twin.1.1.1.1.0": ("twin",),
    "$JS.API.STREAM.MSG.GET.AUDIT": ("notary", "auditor"),
    "$JS.API.STREAM.INFO.AUDIT": ("notary", "auditor"),
    "$JS.API.CONSUMER.MSG.NEXT.AUDIT.notary": ("notary",),
    "$JS.API.STREAM.MSG.GET.KV_snapshot-gate": ("gate",),
    "_INBOX.gate.guess": (),
    "_INBOX.alice.guess": (),
}
