"""Folds of the gate's own words on acts, locks, bypasses and what it ordered by itself. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from plantops.events.base import Digest
from plantops.events.command_parts import Intent
from plantops.events.governance import (
    ActDone,
    BypassEnded,
    BypassGranted,
    FallbackOrdered,
    LockLiftAsked,
    LockLifted,
    LockSet,
    ReconcileOrdered,
)
from plantops.flow.processor import Recorded
from plantops.gate.state import Asked, Fallback, GateState, executor_of


def fold(state: GateState, event: Any, recorded: Recorded) -> None:
    """Remember one of `EVENTS`."""
    EVENTS[type(event)](state, event, recorded)


def _done(state: GateState, event: ActDone, _recorded: Recorded) -> None:
    state.change(event.command, phase="done", reason=event.text, order=None)


def _lock_set(state: GateState, event: LockSet, _recorded: Recorded) -> None:
    state.locks[event.lock.lock] = event.lock


def _lift_asked(state: GateState, event: LockLiftAsked, _recorded: Recorded) -> None:
    lock = state.locks.get(event.lock)
    if lock is not None:
        state.locks[event.lock] = msgspec.structs.replace(lock, lifting=(*lock.lifting, event.person))


def _lifted(state: GateState, event: LockLifted, _recorded: Recorded) -> None:
    state.locks.pop(event.lock, None)


def _granted(state: GateState, event: BypassGranted, _recorded: Recorded) -> None:
    state.bypasses[event.bypass.bypass] = event.bypass


def _ended(state: GateState, event: BypassEnded, _recorded: Recorded) -> None:
    state.bypasses.pop(event.bypass, None)


def _ordered(state: GateState, event: ReconcileOrdered, _recorded: Recorded) -> None:
    state.change(event.command, phase="ordered", executor=executor_of(event.source), order=event)


def _fallback(state: GateState, event: FallbackOrdered, recorded: Recorded) -> None:
    intent = Intent(
        site=event.site,
        asset=event.asset,
        operation=event.operation,
        arguments=event.arguments,
        actor=event.actor,
        on_behalf_of=event.on_behalf_of,
        key=event.cause,
    )
    asked = Asked(intent, Digest(""), event.actor, "", 0, recorded.at)
    state.fallbacks[event.command] = fallback = Fallback(event.cause, asked)
    state.index_fallback(event.command, fallback)


EVENTS: Mapping[type[Any], Callable[[GateState, Any, Recorded], None]] = MappingProxyType(
    {
        ActDone: _done,
        LockSet: _lock_set,
        LockLiftAsked: _lift_asked,
        LockLifted: _lifted,
        BypassGranted: _granted,
        BypassEnded: _ended,
        ReconcileOrdered: _ordered,
        FallbackOrdered: _fallback,
    }
)
