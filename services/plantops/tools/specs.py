"""What the tools process may do on the broker: ask for others, and keep accounts. It commands nothing."""

from __future__ import annotations

from plantops.events.subjects import service
from plantops.flow.declaration import ProcessSpec, Writes

TOOLS = "tools"
TOOLS_AUDIT = "tools-audit"


def tools_spec(site: str) -> ProcessSpec:
    """In the plant: services of others, and the budgets of who asks."""
    budgets = tuple(f"agent.{site}.*.{event}" for event in ("budget_charged", "budget_exceeded"))
    return ProcessSpec(
        name=TOOLS,
        writes=(Writes("AGENT", budgets, ("agent.budget_charged", "agent.budget_exceeded")),),
        # TAGS and DEFINITIONS: what the gate would judge is observed as the gate does, in the frames.
        lookups=("POLICY", "COMMANDS", "SOURCES", "ALARMS", "FINDINGS", "TAGS", "DEFINITIONS"),
        door=(f"door.tool.{site}.>",),
        asks=(
            *(service("twin", site, verb) for verb in ("get", "list", "sightings")),
            *(
                service("command", site, verb)
                for verb in ("get", "list", "approvals", "holds", "circumstances")
            ),
            f"read.{site}.*",
            f"browse.{site}.*",
        ),
        audits=True,
    )


def tools_audit_spec(_site: str) -> ProcessSpec:
    """In the account of the audit: read the log and its checkpoints."""
    return ProcessSpec(name=TOOLS_AUDIT, account="AUDIT", lookups=("AUDIT", "CHECKPOINTS", "COSIGNATURES"))
