"""Bypasses: a permissive that does not count for a time, and what makes up for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from plantops.events import Event
from plantops.events.base import AssetName, CommandId
from plantops.events.circumstances import Bypass
from plantops.events.commands import CommandCancelled
from plantops.events.governance import BypassEnded, BypassGranted
from plantops.events.operations import TimerFired
from plantops.flow.processor import Output
from plantops.gate.doing import Act, Doing
from plantops.gate.site import Site
from plantops.gate.state import GateState, View
from plantops.model.load import Plant
from plantops.policy import rights
from plantops.policy.document import BypassClass, Permissive, Policy
from plantops.runtime.errors import Refused

RAN_OUT = "its time ran out"


def grant(act: Act) -> Doing:
    """Bypass a permissive by the first class, in the order of their names, that lets this person."""
    intent, now = act.asked.intent, act.decision.now
    reason, measure = act.text("reason"), act.text("measure")
    roles = act.principal().roles
    wanted, seconds = intent.arguments.get("permissive"), intent.arguments.get("seconds")
    assert isinstance(wanted, str)  # judged as arguments
    assert isinstance(seconds, int | float)
    _check_permissive(act.site.plant, act.policy, intent.asset, wanted)
    name = _class_for(act.policy, wanted, roles, seconds)
    before = _standing(act.state, intent.asset, wanted)
    if before is not None and now < before.expires_at:
        handle = View(act.state).handle(before.bypass)
        raise Refused(
            f"{wanted} is bypassed already by {handle} until {before.expires_at:%Y-%m-%d %H:%M:%S} UTC:"
            " end that one first",
            reason="bypass",
        )
    bypass = Bypass(
        bypass=act.command,
        asset=intent.asset,
        permissive=wanted,
        bypass_class=name,
        owner=intent.actor,
        reason=reason,
        measure=measure,
        since=now,
        expires_at=now + timedelta(seconds=seconds),
    )
    over: tuple[Event, ...] = ()
    if before is not None:
        over = tuple(_ending(act.site, act.state, before.bypass, before.bypass, RAN_OUT))
    granted = BypassGranted(site=act.site.site, command=act.command, bypass=bypass)
    text = f"{wanted} on {intent.asset} does not count until {bypass.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    return Doing(f"{text}; instead: {measure}", (*over, granted))


def end(act: Act) -> Doing:
    """End a bypass before its time."""
    act.principal()
    intent, state = act.asked.intent, act.state
    text = intent.arguments.get("bypass")
    found = View(state).find(text) if isinstance(text, str) else None
    bypass = state.bypasses.get(found if found is not None else CommandId(str(text)))
    if bypass is None:
        raise Refused(f"no bypass {text!r} is in force", reason="bypass")
    if bypass.asset != intent.asset:
        raise Refused(f"the bypass {text} is on {bypass.asset}: ask it there", reason="bypass")
    reason = f"ended by {intent.actor}"
    events = tuple(_ending(act.site, state, bypass.bypass, act.command, reason))
    return Doing(f"{bypass.permissive} on {bypass.asset} counts again", events)


def ran_out(site: Site, state: GateState, event: TimerFired, now: datetime) -> list[Output]:
    """The timer's word on a bypass. Its own end counts, whatever the timer says."""
    bypass = state.bypasses.get(event.command)
    if bypass is None or now < bypass.expires_at:
        return []
    return [site.say(each) for each in _ending(site, state, event.command, event.command, RAN_OUT)]


def outlived(site: Site, state: GateState, policy: Policy) -> list[Output]:
    """End what a policy no longer allows: its class is gone, or is narrower now."""
    return [
        site.say(event)
        for bypass in state.bypasses.values()
        if not _is_allowed(policy, bypass)
        for event in _ending(site, state, bypass.bypass, bypass.bypass, "the policy no longer allows it")
    ]


def _is_allowed(policy: Policy, bypass: Bypass) -> bool:
    kind = policy.bypass_classes.get(bypass.bypass_class)
    return (
        kind is not None
        and bypass.permissive in kind.permissives
        and bypass.expires_at - bypass.since <= timedelta(seconds=kind.max_seconds)
    )


def _ending(site: Site, state: GateState, bypass: CommandId, by: CommandId, reason: str) -> Iterator[Event]:
    """The end, and that of open permits which counted with it."""
    view, granted = View(state), state.bypasses[bypass]
    yield BypassEnded(site=site.site, command=by, bypass=bypass, reason=reason)
    for command in view.open_on(granted.asset):
        permit = view.course(command).permit
        is_touched = permit is not None and bypass in {each.bypass for each in permit.bypasses}
        if is_touched and view.course(command).phase == "permitted":
            text = f"the bypass {view.handle(bypass)} that it counted with ended: {reason}"
            yield CommandCancelled(site=site.site, command=command, reason=text, by=by)


def _standing(state: GateState, asset: AssetName, permissive: str) -> Bypass | None:
    for each in state.bypasses.values():
        if (each.asset, each.permissive) == (asset, permissive):
            return each
    return None


def _check_permissive(plant: Plant, policy: Policy, asset: AssetName, name: str) -> None:
    found: Permissive | None = next((each for each in policy.permissives if each.id == name), None)
    if found is None:
        raise Refused(f"the policy has no permissive {name!r}", reason="bypass")
    operations = plant.model.assets[asset].operations
    if not any(rights.covers(found.applies, rights.patterns_for(asset, each)) for each in operations):
        raise Refused(f"the permissive {name!r} applies to no operation of {asset}", reason="bypass")


def _class_for(policy: Policy, permissive: str, roles: tuple[str, ...], seconds: float) -> str:
    fit: list[tuple[str, BypassClass]] = [
        (name, each) for name, each in sorted(policy.bypass_classes.items()) if permissive in each.permissives
    ]
    if not fit:
        raise Refused(f"no class of bypasses names the permissive {permissive!r}", reason="bypass")
    mine = [(name, each) for name, each in fit if set(roles) & set(each.roles)]
    if not mine:
        wanted = sorted({role for _name, each in fit for role in each.roles})
        raise Refused(f"{permissive!r} is bypassed by {', '.join(wanted) or 'nobody'} only", reason="bypass")
    for name, each in mine:
        if 0 < seconds <= each.max_seconds:
            return name
    longest = max(each.max_seconds for _name, each in mine)
    raise Refused(
        f"{seconds:g} s are too long: {permissive!r} is bypassed for at most {longest:g} s", reason="bypass"
    )
