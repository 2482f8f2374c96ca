"""What the agent may do on the broker. Its host keeps conversations; what it wants of the plant it asks as a
client like any other."""

from __future__ import annotations

from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.processor import Reads

AGENT_HOST = "agent-host"
AGENT = "agent"
"""The principal in whose name it proposes, and its login among the clients."""

_WRITTEN = (
    "turn_asked",
    "model_replied",
    "tool_answered",
    "turn_ended",
    "reset",
    "budget_charged",
    "budget_exceeded",
)


def agent_spec(site: str) -> ProcessSpec:
    """In the plant: its own stream and its door, nothing else."""
    return ProcessSpec(
        name=AGENT_HOST,
        reads=(turns(site),),
        writes=(
            Writes(
                "AGENT",
                tuple(f"agent.{site}.*.{event}" for event in _WRITTEN),
                tuple(f"agent.{event}" for event in _WRITTEN),
            ),
            Writes("DEAD", (f"dead.{AGENT_HOST}",), ("message.buried",)),
        ),
        lookups=("POLICY",),
        door=(f"door.chat.{site}.>",),
        audits=True,
    )


def turns(site: str) -> Reads:
    """Each question, given to one of any number of hosts until its turn has ended."""
    return Reads("AGENT", (f"agent.{site}.*.turn_asked",), kind="effect", ack_seconds=10.0)
