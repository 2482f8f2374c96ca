"""What acts need, by the reference model: locks, bypasses, fallbacks and reconciliations."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from soak.doing import SAFE_OF
from soak.memory import Bypassed, Locked, Memory
from soak.permits import of_asking, of_demands
from soak.words import Ask


def lock_set(memory: Memory, command: str, asset: str, at: datetime) -> Iterator[str]:
    """A lock hangs from now on."""
    standing = memory.gate.standing
    asks = [] if standing is None else [a for a in memory.genuine(command, standing) if a.asset == asset]
    asks = [ask for ask in asks if ask.operation == "act-lock" and ask.mode == "execute"]
    if standing is None or not asks:
        yield "act: nobody asked for this lock"
        return
    yield from of_asking(asks[0], asks[0], at, standing)
    memory.locks[command] = Locked(asset, standing.person_behind(asks[0]))


def lock_lifted(memory: Memory, lock: str, persons: Collection[str]) -> Iterator[str]:
    """A lock is gone: its owner took it off, or two others did."""
    hung, standing = memory.locks.pop(lock, None), memory.gate.standing
    if hung is None or standing is None:
        yield "lock: it did not hang"
        return
    asked = {standing.person_behind(ask) for ask in memory.asked_acts("act-unlock", "lock", lock, standing)}
    is_own = set(persons) == {hung.person} and hung.person in asked
    others = set(persons) & asked - {hung.person, ""}
    if not is_own and len(others) < 2:
        yield f"lock: lifted by {sorted(persons)}, and {sorted(asked)} had asked for it"


def bypass_granted(memory: Memory, command: str, granted: Bypassed, at: datetime) -> Iterator[str]:
    """A permissive does not count from now on."""
    standing = memory.gate.standing
    if standing is None:
        yield "policy: none is in force"
        return
    memory.bypasses[command] = granted
    for ask in memory.genuine(command, standing):
        if ask.operation == "act-bypass" and ask.asset == granted.asset:
            break
    else:
        yield "act: nobody asked for this bypass"
        return
    yield from of_asking(ask, ask, at, standing)
    yield from of_demands(memory, ask, "critical", at, standing)
    seconds = ask.argument("seconds")
    assert isinstance(seconds, int | float)
    if ask.actor not in standing.profile.maintainers or ask.argument("permissive") != granted.permissive:
        yield "act: another bypass than was asked, or by who may not"
    if not granted.counts(at, standing.profile) or granted.until != at + timedelta(seconds=seconds):
        yield f"bypass: until {granted.until}, {seconds} s were asked"


def fallback_ordered(memory: Memory, command: str, cause: str, actor: str) -> Iterator[str]:
    """The gate stops an asset by itself: only after a command that has a fallback ended half-way."""
    permit = memory.permits.get(cause)
    if permit is None:
        yield "fallback: of what was never permitted"
        return
    is_half_way = permit.gate_knows_final == "unknown" or (
        permit.gate_knows_final == "failed" and permit.done
    )
    if permit.ask.operation != "Start" or not is_half_way or permit.ask.actor != actor:
        yield f"fallback: {permit.ask.operation} of {permit.ask.actor} ended {permit.gate_knows_final!r}"
    ask = permit.ask
    stop = Ask(
        command=command,
        digest=ask.digest,
        by=actor,
        login=actor,
        actor=actor,
        behalf=ask.behalf,
        site=ask.site,
        asset=ask.asset,
        operation=SAFE_OF[ask.asset],
        arguments=(),
        mode="execute",
        issued=ask.issued,
        expires=ask.expires,
        model_agrees=True,
    )
    memory.asks[command].append(stop)


def reconcile_ordered(memory: Memory, command: str, target: str, at: datetime) -> Iterator[str]:
    """A device is asked what became of a command whose outcome nobody knows."""
    permit, standing = memory.permits.get(target), memory.gate.standing
    if permit is None or standing is None or permit.gate_knows_final != "unknown":
        yield "reconcile: its outcome is known"
        return
    asks = [ask for ask in memory.genuine(command, standing) if ask.operation == "act-reconcile"]
    if not asks or asks[0].argument("command") != target or asks[0].mode != "execute":
        yield "act: nobody asked for this reconciliation"
        return
    yield from of_asking(asks[0], asks[0], at, standing)
