"""What became of commands, in words. All of it is what gate and executor say; nothing is concluded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plantops.agent.models.rules.results import plainly
from plantops.events.base import encode_json
from plantops.events.conversation import ToolCall, ToolOutcome
from plantops.events.tooling import ToolListed

_NEXT: Final = {
    "confirm": "A person has to confirm what was simulated.",
    "approve": "Another person has to approve it.",
}


def outcome_told(outcome: ToolOutcome, call: ToolCall, tool: ToolListed | None) -> str:
    """One operation that was proposed, and what the gate made of it."""
    title = f"{tool.asset}.{tool.operation}" if tool and tool.asset else call.tool
    values = ", ".join(
        f"{name} {value}" for name, value in call.arguments.items() if name not in ("simulate", "reason")
    )
    what = f"{title}{f' ({values})' if values else ''}"
    handle = f" [{outcome.handle}]" if outcome.handle else ""
    match outcome.status:
        case "completed":
            return f"Done: {what}{handle}.{_read_back(outcome.result)}"
        case "simulated_only":
            return f"Simulated only, nothing was written: {what}{handle}.{_projected(outcome.result)}"
        case "pending_approval":
            return f"{what}{handle} waits for {_waits_for(outcome)}{_projected(outcome.result)}"
        case "denied":
            return f"Denied: {what}{handle}. {_sentence(outcome.error)}"
        case "unknown":
            return f"Not known whether it was done: {what}{handle}. {_sentence(outcome.error)}"
        case _:
            return f"Not done: {what}{handle}. {_sentence(outcome.error)}"


def _waits_for(outcome: ToolOutcome) -> str:
    result = outcome.result if isinstance(outcome.result, dict) else {}
    handle = outcome.handle or outcome.command
    if result.get("waiting_for") == "confirmation":
        return f"a person to confirm what was simulated as {handle}; I cannot do that for anybody."
    return f"the approval of another person (plantops approve {handle})."


def _projected(result: Any) -> str:
    projected = result.get("projected") if isinstance(result, dict) else None
    if not isinstance(projected, dict) or not projected:
        return ""
    return " It would make " + ", ".join(f"{tag} {value}" for tag, value in projected.items()) + "."


def _read_back(result: Any) -> str:
    written = result.get("written") if isinstance(result, dict) else None
    if not isinstance(written, dict):
        return ""
    said = [
        f"{tag} is {one.get('written')} (before: {one.get('before')})"
        for tag, one in written.items()
        if isinstance(one, dict)
    ]
    return f" {', '.join(said)}." if said else ""


def command_told(result: Any) -> str:
    """Where a command stands, and each finding that did not let it pass."""
    status = result.get("status") if isinstance(result, dict) else None
    if not isinstance(status, dict):
        return plainly(result)
    values = encode_json(status.get("arguments") or {}).decode()
    what = f"{status.get('asset')}.{status.get('operation')} {values if values != '{}' else ''}".rstrip()
    lines = [f"{status.get('handle') or status.get('command')}, {what}: {status.get('phase')}."]
    if reason := status.get("reason"):
        lines.append(_sentence(str(reason)))
    if outcome := status.get("outcome"):
        lines.append(f"Outcome: {outcome}.")
    lines += _findings(result)
    if following := _NEXT.get(str(status.get("next"))):
        lines.append(following)
    return "\n".join(lines)


def decision_told(result: Any) -> str:
    """What the gate would say, and by which findings."""
    if not isinstance(result, dict) or not isinstance(result.get("verdict"), str):
        return plainly(result)
    text = str(result.get("text") or "")
    lines = [_VERDICTS.get(result["verdict"], result["verdict"]), _sentence(text)]
    lines += _findings(result)
    unknown = result.get("not_known")
    if isinstance(unknown, list) and unknown:
        lines.append(f"Not known before it is asked: {', '.join(map(str, unknown))}.")
    return "\n".join(line for line in lines if line)


_VERDICTS: Final = {
    "deny": "No: the gate would deny it now.",
    "execute": "Yes: the gate would let it pass now.",
    "simulate": "It would be simulated only.",
    "confirm": "Yes, after a simulation that a person confirms.",
    "approve": "Yes, after a simulation and the approval of others.",
    "not_known": "That cannot be told before it is asked.",
}


def _findings(result: Mapping[str, Any]) -> list[str]:
    found = result.get("findings")
    if not isinstance(found, list):
        return []
    against = [one for one in found if isinstance(one, dict) and one.get("verdict") != "true"]
    return [f"- {one.get('rule')} ({one.get('verdict')}): {one.get('text')}" for one in against]


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
