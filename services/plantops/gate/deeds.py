"""What the gate keeps of an executor's words. Pure."""

from __future__ import annotations

from typing import TypeAlias

from msgspec.structs import replace

from plantops.events import event_type
from plantops.events.base import Digest
from plantops.events.command_parts import Write
from plantops.events.commands import CommandClaimed, CommandExecuted, CommandFailed, OutcomeUnknown
from plantops.events.governance import CommandReconciled
from plantops.flow.processor import Recorded
from plantops.gate.returned import kept
from plantops.gate.state import NOTHING_DONE, UNKNOWN, Deed, GateState

Word: TypeAlias = CommandClaimed | CommandExecuted | CommandFailed | OutcomeUnknown | CommandReconciled
WORDS = (CommandClaimed, CommandExecuted, CommandFailed, OutcomeUnknown, CommandReconciled)


def record(state: GateState, event: Word, recorded: Recorded) -> None:
    """Each signer's words for itself: whose word counts, the gate's own events say."""
    said = state.deeds.get(event.command, {})
    deed = _told(said.get(recorded.signer, NOTHING_DONE), event, recorded)
    state.deeds[event.command] = {**said, recorded.signer: deed}
    if deed.final == UNKNOWN:
        state.unknown[event.command] = None


def _told(deed: Deed, event: Word, recorded: Recorded) -> Deed:
    if isinstance(event, CommandReconciled):
        return replace(deed, reconciled=deed.reconciled or event.conclusion)
    if isinstance(event, CommandClaimed):
        return replace(deed, claimed=True, claimed_at=deed.claimed_at or recorded.sequence)
    # The executor's later word (a reconciliation) replaces `outcome unknown`, nothing else.
    if deed.final in ("", UNKNOWN):
        return _ended(deed, event, recorded)
    return replace(deed, claimed=True)


def _ended(deed: Deed, event: CommandExecuted | CommandFailed | OutcomeUnknown, recorded: Recorded) -> Deed:
    undo: tuple[Write, ...] = ()
    model = Digest("")
    is_taken_back = isinstance(event, CommandFailed) and event.compensated
    if not isinstance(event, OutcomeUnknown) and event.decision is not None and not is_taken_back:
        undo, model = event.undo, event.decision.model
    return replace(
        deed,
        claimed=True,
        final=event_type(event),
        reason="" if isinstance(event, CommandExecuted) else event.reason,
        ended_at=recorded.sequence,
        ended=recorded.at,
        written=not isinstance(event, CommandFailed) or event.written,
        undo=undo,
        model=model,
        outputs=kept(event.outputs) if isinstance(event, CommandExecuted) else None,
    )
