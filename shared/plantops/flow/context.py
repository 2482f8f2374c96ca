"""What every process is given: its name, its connection, its voice, and what it may believe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from plantops.events.base import SiteName
from plantops.flow.auditing import Auditor
from plantops.flow.bus import Bus
from plantops.flow.signing import Signer
from plantops.model.load import Plant
from plantops.policy.in_force import InForce


@dataclass(frozen=True)
class Context:
    """One identity at work. `auditor` is None for those who write no audit records.

    `state` is the identity's own folder (0700) for what no log can rebuild: the audit journal and
    high-water marks. `ready` is called when the process has restored what it knows and answers, or stands by.
    `connect` opens another connection of the same identity.
    """

    site: SiteName
    name: str
    bus: Bus
    signer: Signer
    in_force: InForce
    plant: Plant
    state: Path
    auditor: Auditor | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ready: Callable[[], None] = lambda: None
    connect: Callable[[], Awaitable[Bus]] | None = None
