"""Reconciliation: the device itself says what became of a command whose outcome nobody knows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from plantops.events.base import CommandId
from plantops.events.governance import ActDone, CommandReconciled, ReconcileOrdered
from plantops.flow.processor import Output
from plantops.gate.doing import Act, Doing
from plantops.gate.site import Site
from plantops.gate.state import UNKNOWN, GateState, View
from plantops.policy.acts import RECONCILE
from plantops.runtime.errors import Refused


def order(act: Act) -> Doing:
    """Ask the executor to read what the command would have written; the act waits for the answer."""
    view, target = View(act.state), act.target()
    name, course = view.handle(target), view.course(target)
    deed = view.deed(target)
    if deed.final != UNKNOWN:
        ended = deed.final.removeprefix("command.").replace("_", " ") or course.phase
        raise Refused(f"the outcome of {name} is known: {ended}", reason="reconcile")
    if deed.reconciled:
        raise Refused(f"{name} was reconciled already: {deed.reconciled}", reason="reconcile")
    for other in act.state.on_asset.get(act.asked.intent.asset, ()):
        if _waits(view, other, target) is not None:
            raise Refused(
                f"{view.handle(other)} reconciles {name} already: wait for it, or cancel it and ask again "
                "when the device can be read",
                reason="reconcile",
            )
    if course.permit is None:
        raise Refused(f"what {name} would have written is not known any more", reason="reconcile")
    tags = dict.fromkeys(write.tag for write in course.permit.writes)
    ordered = ReconcileOrdered(
        site=act.site.site,
        command=act.command,
        target=target,
        source=course.permit.source,
        tags=tuple(tags),
        decision=act.decision,
    )
    return Doing(f"{course.permit.source} is asked what became of {name}", (ordered,), is_done=False)


def concluded(site: Site, state: GateState, event: CommandReconciled, signer: str) -> Sequence[Output]:
    """The executor's answer ends every act that waits for it; where nobody does, it changes nothing here.

    It is said once for a command, whichever act it names: an act that was cancelled meanwhile may be it.
    """
    view, asked = View(state), state.asked.get(event.command)
    if asked is None or signer != view.course(event.command).executor:
        return ()
    said = event.conclusion.replace("_", " ")
    text = f"{view.handle(event.command)}: the device says {said}" + (f"; {event.text}" if event.text else "")
    return [
        site.say(ActDone(site=site.site, command=act, act=RECONCILE, text=text, decision=order.decision))
        for act in state.on_asset.get(asked.intent.asset, ())
        if (order := _waits(view, act, event.command)) is not None
    ]


def _waits(view: View, act: CommandId, target: CommandId) -> ReconcileOrdered | None:
    """The order of an act that waits for what became of `target`."""
    course = view.course(act)
    order = course.order
    return order if order is not None and course.phase == "ordered" and order.target == target else None
