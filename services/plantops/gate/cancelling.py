"""Cancelling an open command. Pure."""

from __future__ import annotations

from plantops.gate import withdrawals
from plantops.gate.doing import Act, Doing
from plantops.gate.state import View
from plantops.policy import rights
from plantops.runtime.errors import Refused


def cancel(act: Act) -> Doing:
    """End a command that is not over. What executes already is ended by its executor between two steps."""
    view, target, actor = View(act.state), act.target(), act.asked.intent.actor
    name, course, deed = view.handle(target), view.course(target), view.deed(target)
    if course.is_safe:
        raise Refused(f"{name} goes in the safe direction, and nobody cancels that", reason="cancel")
    if view.is_closed(target):
        ended = deed.final.removeprefix("command.").replace("_", " ") or course.phase
        raise Refused(f"{name} is over already: {ended}", reason="cancel")
    if course.phase in ("cancelled", "expired"):
        raise Refused(f"{name} is {course.phase} already, its executor has the last word", reason="cancel")
    ends = withdrawals.end(act.site, view, target, f"cancelled by {actor}", by=act.command)
    text = f"{name} is cancelled"
    if deed.claimed:
        text += "; its executor, who is at it, stops between two steps: look at its outcome"
    return Doing(text, tuple(output.event for output in ends))


def is_own(act: Act) -> bool:
    """Whether it was asked for in these very names, or for this person. Raises: Refused for no command.

    Who asked needs no role to take his word back. An agent takes back only what it asked for itself: it may
    claim anybody as its principal.
    """
    intent, asked = act.asked.intent, View(act.state).asked(act.target())
    if asked is None:
        return False
    before = asked.intent
    if (intent.actor, intent.on_behalf_of) == (before.actor, before.on_behalf_of):
        return True
    principal = act.policy.principals.get(intent.actor)
    person = rights.person_of(act.policy, before.actor, before.on_behalf_of)
    return (
        principal is not None and principal.kind == "person" and bool(person) and principal.person == person
    )
