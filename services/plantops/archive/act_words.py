"""What acts, and words about the rules, say to people in the table `step`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from plantops.events import governance as g


def _bypass(event: g.BypassGranted) -> str:
    bypass = event.bypass
    return (
        f"{bypass.permissive} on {bypass.asset} by {bypass.owner} until {bypass.expires_at:%Y-%m-%d %H:%M:%S}"
        f" UTC: {bypass.reason}; instead: {bypass.measure}"
    )


def _progress(event: g.CommandProgressed) -> str:
    return f"step {event.step} of {event.steps}" + (f": {event.text}" if event.text else "")


ACT_WORDS: Final[Mapping[type[Any], Callable[[Any], str]]] = MappingProxyType(
    {
        g.ActDone: lambda event: event.text,
        g.LockSet: lambda event: f"{event.lock.asset} by {event.lock.owner}: {event.lock.reason}",
        g.LockLiftAsked: lambda event: f"{event.lock} by {event.person}, one more person is needed",
        g.LockLifted: lambda event: f"{event.lock} on {event.asset} by {' and '.join(event.persons)}",
        g.BypassGranted: _bypass,
        g.BypassEnded: lambda event: f"{event.bypass}: {event.reason}",
        g.ApprovalWithdrawn: lambda event: event.reason,
        g.ApprovalEscalated: lambda event: f"{', '.join(event.roles)} may approve too",
        g.CommandProgressed: _progress,
        g.ReconcileOrdered: lambda event: f"{event.target} at {event.source}",
        g.CommandReconciled: lambda event: event.conclusion + (f": {event.text}" if event.text else ""),
        g.FallbackOrdered: lambda event: f"{event.asset}.{event.operation}, because of {event.cause}",
        g.PolicyActivated: lambda event: f"{event.policy_id} {event.revision} {event.moc}".rstrip(),
        g.PolicyRefused: lambda event: event.reason,
        g.RootRotated: lambda event: f"trust root {event.root_version}",
    }
)
