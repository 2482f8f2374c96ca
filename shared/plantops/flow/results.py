"""Results as a client hears them: what COMMANDS has stored, repeated by the broker with its mark.

Clients share an account, so one of them can steer a service's answer onto the subject of a result. Such an
answer has headers of the service alone; what the broker has stored carries the mark.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from plantops.events.envelope import Message
from plantops.events.queries import CommandStatus
from plantops.flow.bus import Bus, Subscription

STREAM: Final = "Nats-Stream"
SEQUENCE: Final = "Nats-Sequence"
"""What nats-server writes on a message that a stream repeats (ADR-28): which it is, and the place in it."""

_LOG: Final = "COMMANDS"
_ON_ITS_WAY: Final = frozenset(
    (
        "simulation_ordered",
        "dry_run",
        "approval_accepted",
        "permitted",
        "safe_permitted",
        "generation_raised",
        "claimed",
        "progressed",
    )
)


def place_of(message: Message) -> int:
    """Where it stands in COMMANDS; 0 for what the broker has not repeated from there."""
    text = message.header(SEQUENCE)
    is_marked = message.header(STREAM) == _LOG and text.isascii() and text.isdigit() and len(text) <= 18
    return int(text) if is_marked else 0


async def listen_to_results(
    bus: Bus, subject: str, hear: Callable[[Message], Awaitable[None]]
) -> Subscription:
    """As `Bus.listen`, and nothing is heard but what is stored in COMMANDS."""

    async def hear_marked(message: Message) -> None:
        if place_of(message):
            await hear(message)

    return await bus.listen(subject, hear_marked)


def may_rest(verb: str) -> bool:
    """Whether a command may have come to rest with this result (`executed` of `command.executed`): only then
    need the gate be asked where it stands."""
    return verb not in _ON_ITS_WAY


def is_at_rest(status: CommandStatus) -> bool:
    """Whether nothing more happens without a person."""
    if status.outcome not in ("", "command.claimed"):
        return True
    if status.phase == "cancelled":
        return not status.outcome
    return status.phase in ("denied", "expired", "simulated", "waiting", "done")
