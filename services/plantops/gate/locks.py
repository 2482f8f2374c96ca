"""Lock-outs: a person's own lock on the commands to an asset. Pure.

It locks commands, not energy: who puts his hands into a machine locks it out at its isolators (OSHA 29 CFR
1910.147). The safe direction goes on.
"""

from __future__ import annotations

from plantops.events import Event
from plantops.events.base import CommandId
from plantops.events.circumstances import LockOut
from plantops.events.commands import GenerationRaised
from plantops.events.governance import LockLiftAsked, LockLifted, LockSet
from plantops.gate.doing import Act, Doing
from plantops.gate.state import View
from plantops.gate.sweeping import sweep
from plantops.policy import rights
from plantops.policy.document import Policy
from plantops.runtime.errors import Refused


def lock(act: Act) -> Doing:
    """Hang the person's lock on the asset; one of his hangs there at most.

    The generation rises with it, which voids at the executors what is permitted already.
    """
    intent, state = act.asked.intent, act.state
    reason = act.text("reason")
    act.principal()
    for each in state.locks.values():
        if (each.asset, each.person) == (intent.asset, act.decision.person):
            name = View(state).handle(each.lock)
            raise Refused(
                f"{act.decision.person} has locked {intent.asset} out already: {name}", reason="lock"
            )
    hung = LockOut(
        lock=act.command,
        asset=intent.asset,
        owner=intent.actor,
        person=act.decision.person,
        reason=reason,
        since=act.decision.now,
    )
    generation = View(state).generation(intent.asset) + 1
    site = act.site.site
    events: tuple[Event, ...] = (
        GenerationRaised(site=site, command=act.command, asset=intent.asset, generation=generation),
        LockSet(site=site, command=act.command, lock=hung),
    )
    ended = sweep(
        act.site, act.state, intent.asset, f"{intent.actor} locked {intent.asset} out", by=act.command
    )
    events = (*events, *(output.event for output in ended))
    return Doing(f"{intent.asset} is locked out by {intent.actor}: {reason}", events)


def unlock(act: Act) -> Doing:
    """Take a lock off: its owner alone, or two others one after the other."""
    act.principal()
    hung = _lock_of(act)
    view, site, person = View(act.state), act.site.site, act.decision.person
    name = f"{view.handle(hung.lock)} of {hung.owner} on {hung.asset}"
    if person == hung.person:
        lifted = LockLifted(
            site=site, command=act.command, lock=hung.lock, asset=hung.asset, persons=(person,)
        )
        return Doing(f"the lock {name} is off, taken off by its owner", (lifted,))
    if person in hung.lifting:
        raise Refused(f"{person} has asked to lift {name} already: another person is needed", reason="unlock")
    before = tuple(each for each in hung.lifting if _counts_still(act.policy, each, act))
    if not before:
        asked = LockLiftAsked(site=site, command=act.command, lock=hung.lock, person=person)
        return Doing(
            f"asked to lift the lock {name}: one more person other than its owner is needed", (asked,)
        )
    persons = (before[0], person)
    lifted = LockLifted(site=site, command=act.command, lock=hung.lock, asset=hung.asset, persons=persons)
    return Doing(f"the lock {name} is off, taken off by {' and '.join(persons)}", (lifted,))


def _lock_of(act: Act) -> LockOut:
    text = act.asked.intent.arguments.get("lock")
    found = View(act.state).find(text) if isinstance(text, str) else None
    hung = act.state.locks.get(found if found is not None else CommandId(str(text)))
    if hung is None:
        raise Refused(f"no lock {text!r} hangs anywhere", reason="unlock")
    if hung.asset != act.asked.intent.asset:
        raise Refused(f"the lock {text} hangs on {hung.asset}: ask it there", reason="unlock")
    return hung


def _counts_still(policy: Policy, person: str, act: Act) -> bool:
    """Whether who asked first could still ask: he may have left since."""
    patterns = rights.patterns_for(act.asked.intent.asset, act.asked.intent.operation)
    return any(
        each.kind == "person" and each.person == person and rights.may(policy, name, patterns)
        for name, each in policy.principals.items()
    )
