"""Who may say which event, and on which subject. Pure data, and one function that reads it.

Names in braces must agree with the site, the signer and the event: `{site}`, `{signer}`, `{event}` (the type
after its first dot), `{source}` (the signer is `adapter-<source>`); `*` is any one token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_ADAPTER: Final = "adapter-"


@dataclass(frozen=True, slots=True)
class Speaker:
    """The role that a signer needs, and the form of the subject. No role: the event needs no signature."""

    role: str
    subject: str = ""


_COMMAND: Final = "cmd.{site}.{event}.{signer}.*"
_GATE: Final = Speaker("gate", _COMMAND)
_EXECUTOR: Final = Speaker("executor", _COMMAND)
_STATE: Final = Speaker("executor", "source.{site}.{source}.{event}")
_FRAMES: Final = Speaker("executor", "tag.{site}.{source}")
_AGENT: Final = Speaker("agent", "agent.{site}.*.{event}")

SPEAKERS: Final[Mapping[str, Speaker]] = MappingProxyType(
    {
        "tag.frame": _FRAMES,
        "tag.frame.named": _FRAMES,
        "source.defined": Speaker("executor", "definition.{site}.{source}.*"),
        "source.lease": _STATE,
        "source.up": _STATE,
        "source.lost": _STATE,
        "source.gap": _STATE,
        "command.requested": Speaker("gate", "intent.{site}.*.*.*"),
        "approval.received": Speaker("gate", "approval.{site}.*.*"),
        "command.denied": _GATE,
        "command.simulation_ordered": _GATE,
        "command.simulated": _GATE,
        "command.approval_requested": _GATE,
        "command.approval_accepted": _GATE,
        "command.approval_refused": _GATE,
        "command.permitted": _GATE,
        "command.safe_permitted": _GATE,
        "command.generation_raised": _GATE,
        "command.cancelled": _GATE,
        "command.expired": _GATE,
        "command.act_done": _GATE,
        "command.lock_set": _GATE,
        "command.lock_lift_asked": _GATE,
        "command.lock_lifted": _GATE,
        "command.bypass_granted": _GATE,
        "command.bypass_ended": _GATE,
        "command.approval_withdrawn": _GATE,
        "command.approval_escalated": _GATE,
        "command.reconcile_ordered": _GATE,
        "command.fallback_ordered": _GATE,
        "command.policy_activated": _GATE,
        "command.reign_began": _GATE,
        "command.policy_refused": _GATE,
        "command.root_rotated": _GATE,
        "command.dry_run": _EXECUTOR,
        "command.claimed": _EXECUTOR,
        "command.executed": _EXECUTOR,
        "command.failed": _EXECUTOR,
        "command.outcome_unknown": _EXECUTOR,
        "command.progressed": _EXECUTOR,
        "command.reconciled": _EXECUTOR,
        "timer.fired": Speaker("timer", "timer.{site}.*"),
        "checkpoint.signed": Speaker("notary", "checkpoint.{site}"),
        "checkpoint.refused": Speaker("notary", "checkpoint.{site}"),
        "checkpoint.cosigned": Speaker("witness", "cosignature.{site}.{signer}"),
        "checkpoint.disputed": Speaker("witness", "dispute.{site}.{signer}"),
        "agent.turn_asked": _AGENT,
        "agent.model_replied": _AGENT,
        "agent.tool_answered": _AGENT,
        "agent.turn_ended": _AGENT,
        "agent.reset": _AGENT,
        "agent.budget_charged": _AGENT,
        "agent.budget_exceeded": _AGENT,
        # The envelope inside carries the root's own signatures; every reader verifies those.
        "policy.published": Speaker(""),
        "policy.root_published": Speaker(""),
        # Tells of bytes that could not be used; nothing is ever decided by it.
        "message.buried": Speaker(""),
    }
)


def fits(speaker: Speaker, subject: str, *, site: str, signer: str, event_type: str) -> bool:
    """Whether a signer may say an event of this type on `subject`."""
    given, wanted = subject.split("."), speaker.subject.split(".")
    if len(given) != len(wanted):
        return False
    names = {
        "{site}": site,
        "{signer}": signer,
        "{event}": event_type.partition(".")[2],
        "{source}": signer.removeprefix(_ADAPTER) if signer.startswith(_ADAPTER) else "",
    }
    return all(
        one and (form == "*" or one == names.get(form, form)) for one, form in zip(given, wanted, strict=True)
    )
