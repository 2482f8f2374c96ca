"""What a conversation holds, as it is told to who asks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from plantops.agent.conversation import Conversation, Turn
from plantops.agent.live import Speech, revision
from plantops.events.base import CommandId
from plantops.events.chatting import TurnListed, TurnTold
from plantops.events.conversation import ToolOutcome

# An answer of the broker has 1 MiB, and a character up to four bytes.
MAX_CHARACTERS: Final = 200_000


def turn_told(name: str, state: Conversation, turn: Turn, speech: Speech | None) -> TurnTold:
    """One turn as it stands; `speech` is what is being said in it at this moment."""
    number, ended = turn.asked.turn, turn.ended
    outcomes = tuple(_with_results(turn))
    if ended is not None:
        return TurnTold(
            conversation=name,
            turn=number,
            revision=revision(len(turn.replies) + len(turn.answers) + 2),
            status=ended.status,
            text=ended.reply,
            outcomes=outcomes,
            pending_approval=ended.pending_approval,
            waiting_for=ended.waiting_for,
            handle=ended.handle,
        )
    waiting = next((one for one in reversed(outcomes) if one.status == "pending_approval"), None)
    said = [reply.text for reply in turn.replies if reply.text]
    if speech is not None and speech.text:
        said.append(speech.text)
    return TurnTold(
        conversation=name,
        turn=number,
        revision=revision(state.stored, speech.heard if speech else 0),
        status="open",
        text="\n\n".join(said),
        outcomes=outcomes,
        pending_approval=waiting is not None,
        waiting_for=waiting.command if waiting else CommandId(""),
        handle=waiting.handle if waiting else "",
    )


def turn_listed(turn: Turn) -> TurnListed:
    """One turn, as it was asked and answered."""
    ended = turn.ended
    return TurnListed(
        turn=turn.asked.turn,
        asked_at=turn.asked.asked_at,
        question=turn.asked.question,
        status=ended.status if ended else "open",
        reply=ended.reply if ended else "",
    )


def _with_results(turn: Turn) -> Iterator[ToolOutcome]:
    """A read's result stands once, in what the model was shown; what would not fit into an answer is left
    out, the latest of all."""
    room = MAX_CHARACTERS
    for answered in turn.answered:
        outcome = answered.outcome
        room -= len(answered.content)
        if outcome.status == "read" and outcome.result is None and room >= 0:
            content = msgspec.json.decode(answered.content, type=dict[str, Any])
            outcome = msgspec.structs.replace(outcome, result=content.get("result", content))
        yield outcome
