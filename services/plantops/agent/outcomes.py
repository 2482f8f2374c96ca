"""What came of a command, in words for people, programs and the model. Pure."""

from __future__ import annotations

from typing import Any, Final

from plantops.agent.following import Heard
from plantops.events.base import CommandId, encode_json
from plantops.events.command_parts import Intent
from plantops.events.conversation import OutcomeStatus, ToolOutcome
from plantops.events.provenance import Provenance
from plantops.events.queries import CommandStatus

_BY_OUTCOME: Final[dict[str, OutcomeStatus]] = {
    "command.executed": "completed",
    "command.failed": "failed",
    "command.outcome_unknown": "unknown",
}
_BY_PHASE: Final[dict[str, OutcomeStatus]] = {
    "denied": "denied",
    "expired": "failed",
    "cancelled": "failed",
    "waiting": "pending_approval",
    "done": "completed",
}
_MAX_REASON: Final = 1000
_FROM_THE_PLANT: Final = ("projected", "simulator", "written", "outputs", "text")


def outcome_of(
    tool: str, intent: Intent, command: CommandId, status: CommandStatus | None, heard: Heard
) -> ToolOutcome:
    """What the gate's word on a command means for who asked. None: the gate says nothing of it."""
    if status is None:
        return ToolOutcome(
            tool=tool,
            status="unknown",
            success=False,
            error="the gate does not say what came of it: look before it is asked again",
            command=command,
        )
    verdict = _verdict(intent, status)
    return ToolOutcome(
        tool=tool,
        status=verdict,
        success=verdict in ("completed", "simulated_only", "pending_approval"),
        simulated=status.phase == "simulated" and not status.outcome,
        result=_result(intent, status, verdict, heard),
        error="" if verdict in ("completed", "simulated_only", "pending_approval") else _why(status, verdict),
        command=status.command,
        handle=status.handle,
    )


def content_of(outcome: ToolOutcome) -> tuple[str, tuple[Provenance, ...]]:
    """What the model is shown of an outcome, and where it came from.

    Status, arguments and numbers are the gate's. In a reason, and in any text that stood in the plant, is to
    stand there or was given back by it, somebody else may have had a say: then whatever the model wants next
    rests on it.
    """
    told = {
        "status": outcome.status,
        "command": outcome.handle or outcome.command,
        "tool": outcome.tool,
        "simulated": outcome.simulated,
        "result": outcome.result,
        "reason": outcome.error,
    }
    shown = {name: value for name, value in told.items() if value not in ("", None, False)}
    result = outcome.result or {}
    has_text = bool(outcome.error) or any(_has_text(result.get(name)) for name in _FROM_THE_PLANT)
    is_seen = has_text and bool(outcome.command)
    provenance = (Provenance(channel="command", name=outcome.command),) if is_seen else ()
    return encode_json(shown).decode(), provenance


def _has_text(value: Any) -> bool:
    match value:
        case str():
            return bool(value)
        case dict():
            return any(map(_has_text, value.values()))
        case list() | tuple():
            return any(map(_has_text, value))
        case _:
            return False


def _verdict(intent: Intent, status: CommandStatus) -> OutcomeStatus:
    if status.outcome in _BY_OUTCOME:
        return _BY_OUTCOME[status.outcome]
    if status.phase == "simulated":
        # Who only wanted to see may still confirm it; nothing waits for that.
        is_enough = intent.mode == "simulate" or status.next == "nothing"
        return "simulated_only" if is_enough else "pending_approval"
    return _BY_PHASE.get(status.phase, "unknown")


def _why(status: CommandStatus, verdict: OutcomeStatus) -> str:
    if status.reason:
        return status.reason[:_MAX_REASON]
    match verdict:
        case "unknown" if not status.outcome:
            return f"still under way: {status.phase}"
        case "unknown":
            return "nobody knows whether it was done: look at the plant"
        case _:
            return status.phase


def _result(intent: Intent, status: CommandStatus, verdict: OutcomeStatus, heard: Heard) -> dict[str, Any]:
    result: dict[str, Any] = {
        "asset": intent.asset,
        "operation": intent.operation,
        "arguments": intent.arguments,
    }
    if verdict == "pending_approval":
        result["waiting_for"] = "approval" if status.phase == "waiting" else "confirmation"
        if status.expires_at is not None:
            result["until"] = status.expires_at.isoformat()
    if heard.simulated is not None and not status.outcome:
        result["projected"] = heard.simulated.projected
        if heard.simulated.simulated:
            result["simulator"] = heard.simulated.simulated
    if heard.executed is not None:
        result["written"] = {
            step.write.tag: {"before": step.before, "written": step.write.value, "read_back": step.read_back}
            for step in heard.executed.steps
        }
        if heard.executed.outputs:
            result["outputs"] = heard.executed.outputs
    if verdict == "completed" and status.phase == "done" and status.reason:
        result["text"] = status.reason[:_MAX_REASON]  # what an act did
    return result
