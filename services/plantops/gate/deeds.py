"""What the gate keeps of an executor's words. Pure."""

from __future__ import annotations

from typing import TypeAlias

from plantops.events import event_type
from plantops.events.base import Digest
from plantops.events.commands import CommandClaimed, CommandExecuted, CommandFailed, OutcomeUnknown
from plantops.events.governance import CommandReconciled
from plantops.flow.processor import Recorded
from plantops.gate.state import UNKNOWN, Deed, GateState

Word: TypeAlias = CommandClaimed | CommandExecuted | CommandFailed | OutcomeUnknown | CommandReconciled
WORDS = (CommandClaimed, CommandExecuted, CommandFailed, OutcomeUnknown, CommandReconciled)


def record(state: GateState, event: Word, recorded: Recorded) -> None:
    """Each signer's words for itself: whose word counts, the gate's own events say."""
    deed = state.deeds.setdefault(event.command, {}).setdefault(recorded.signer, Deed())
    if isinstance(event, CommandReconciled):
        deed.reconciled = deed.reconciled or event.conclusion
        return
    deed.claimed = True
    if isinstance(event, CommandClaimed):
        deed.claimed_at = deed.claimed_at or recorded.sequence
    # The executor's later word (a reconciliation) replaces `outcome unknown`, nothing else.
    elif deed.final in ("", UNKNOWN):
        _end(state, deed, event, recorded)


def _end(
    state: GateState, deed: Deed, event: CommandExecuted | CommandFailed | OutcomeUnknown, recorded: Recorded
) -> None:
    deed.final, deed.ended_at, deed.ended = event_type(event), recorded.sequence, recorded.at
    deed.reason = "" if isinstance(event, CommandExecuted) else event.reason
    deed.written = not isinstance(event, CommandFailed) or event.written
    deed.undo, deed.model = (), Digest("")
    if isinstance(event, OutcomeUnknown):
        state.unknown[event.command] = None
        return
    is_taken_back = isinstance(event, CommandFailed) and event.compensated
    if not is_taken_back and event.decision is not None:
        deed.undo, deed.model = event.undo, event.decision.model
