"""Reconciliation: the device itself says what became of a command whose outcome nobody knows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from plantops.events.governance import ActDone, CommandReconciled, ReconcileOrdered
from plantops.flow.processor import Output
from plantops.gate.doing import Act, Doing
from plantops.gate.site import Site
from plantops.gate.state import UNKNOWN, GateState, View
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
        order = view.course(other).order
        if order is not None and order.target == target and view.course(other).phase == "ordered":
            raise Refused(f"{view.handle(other)} reconciles {name} already: wait for it", reason="reconcile")
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
    """The executor's answer ends the act that asked; an answer nobody waits for changes nothing here."""
    view = View(state)
    course = view.course(event.by)
    order = course.order
    if order is None or course.phase != "ordered":
        return ()
    if (signer, event.command) != (course.executor, order.target):
        return ()
    said = event.conclusion.replace("_", " ")
    text = f"{view.handle(event.command)}: the device says {said}" + (f"; {event.text}" if event.text else "")
    done = ActDone(
        site=site.site,
        command=event.by,
        act=state.asked[event.by].intent.operation,
        text=text,
        decision=order.decision,
    )
    return [site.say(done)]
