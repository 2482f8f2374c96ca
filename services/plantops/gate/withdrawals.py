"""Ending what waits for a person when it is no longer what that person saw. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from plantops.events.base import CommandId
from plantops.events.commands import CommandCancelled
from plantops.events.governance import ApprovalWithdrawn
from plantops.flow.processor import Output
from plantops.gate.site import Site
from plantops.gate.state import GateState, View
from plantops.policy.verify import Verified

NOBODY: Final = CommandId("")
# One answer is stored as one batch of at most 1,000 events; a stop in the same answer may need half of it.
MAX_WITHDRAWN = 200


def end(site: Site, view: View, command: CommandId, reason: str, *, by: CommandId = NOBODY) -> list[Output]:
    """Cancel an open command; what approvers have given for it, or were asked for, is withdrawn first."""
    course, outputs = view.course(command), []
    if course.phase == "waiting":
        withdrawn = ApprovalWithdrawn(
            site=site.site, command=command, reason=reason, approvers=course.approvers
        )
        outputs.append(site.say(withdrawn))
    outputs.append(site.say(CommandCancelled(site=site.site, command=command, reason=reason, by=by)))
    return outputs


def outdated(
    site: Site, state: GateState, verified: Verified, *, besides: Collection[CommandId] = ()
) -> list[Output]:
    """End what waits for a person and was simulated under another policy or model, the oldest first.

    At most 200 commands; the rest follows with the next fact, and none of it is let through meanwhile.
    """
    view, standing = View(state), (verified.digest, site.plant.digest)
    found: list[CommandId] = []
    for digests, commands in list(state.bound.items()):
        if digests == standing:
            continue
        for command in [each for each in commands if not view.waits_for_person(each)]:
            del commands[command]
        if not commands:
            del state.bound[digests]
        found += [each for each in commands if each not in besides and each in state.asked]
    found.sort(key=lambda command: state.asked[command].sequence)
    reason = "policy or model changed since it was simulated; ask again"
    return [output for command in found[:MAX_WITHDRAWN] for output in end(site, view, command, reason)]
