"""One source, put together and kept running: owner of its device, or standby of the owner."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from plantops.adapters.contract import AdapterSpec, Connection, Secrets, SourceSettings
from plantops.adapters.host.clock import Clock, SystemClock
from plantops.adapters.host.lease import DEFAULT_TTL_SECONDS, Lease
from plantops.adapters.host.ports import Auditor, Observe, Rules
from plantops.adapters.host.reign import Reign, end
from plantops.events.base import SiteName, SourceName
from plantops.events.tags import SourceDefined
from plantops.flow.bus import Bus
from plantops.flow.signing import Signer
from plantops.flow.trust import Trust
from plantops.runtime.errors import Fenced

log = structlog.get_logger()


@dataclass(frozen=True)
class SourceHost:
    """Everything that one source needs, checked and opened by nobody yet.

    `owner` must differ for each run of each process. `state` is a folder of this source alone: it holds
    outcomes that the broker does not have yet. `stopping` ends `run` in good order.
    """

    definition: SourceDefined
    settings: SourceSettings
    adapter: AdapterSpec
    connection: Any
    """The adapter's own settings struct."""
    secrets: Secrets
    bus: Bus
    signer: Signer
    trust: Trust
    rules: Rules
    auditor: Auditor
    observe: Observe
    state: Path
    owner: str
    clock: Clock = field(default_factory=SystemClock)
    random: Callable[[], float] = random.random
    lease_seconds: float = DEFAULT_TTL_SECONDS
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def site(self) -> SiteName:
        """The site of the source."""
        return self.definition.site

    @property
    def source(self) -> SourceName:
        """The source's name."""
        return self.definition.source

    def build(self) -> Connection:
        """A connection that has opened nothing. Raises: SettingsError."""
        return self.adapter.build(
            self.definition, self.connection, self.settings.timeout_seconds, self.secrets
        )

    async def run(self) -> None:
        """Own the source whenever it is free, until `stopping`.

        When another host takes it over, everything stops at once and this one becomes its standby.
        Raises: SettingsError, and whatever means that this process must not go on.
        """
        encoder = self.build()
        while not self.stopping.is_set():
            lease = Lease(
                self.bus,
                self.signer,
                self.clock,
                site=self.site,
                source=self.source,
                owner=self.owner,
                ttl_seconds=self.lease_seconds,
            )
            if not await _unless(self.stopping, lease.acquire()):
                break
            log.info("source.owned", source=self.source, epoch=lease.epoch)
            try:
                await Reign(self, lease, encoder).run()
            except Fenced as error:
                lease.drop()
                log.warning("source.fenced", source=self.source, cause=error.message)
            finally:
                await lease.release()


async def _unless(stopping: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Whether `work` ended before `stopping` was set; else it is cancelled."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(tasks[1:] if tasks[0].done() else tasks)
    if tasks[0].cancelled():
        return False
    tasks[0].result()
    return True
