"""Starts what people, programs and models talk to: the tools, the agent, the gateway.

Each is imported only in the process that runs it: HTTP server and model clients take 50 to 90 MB.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from plantops.agent.specs import AGENT
from plantops.archive.place import SERVED_FILE
from plantops.archive.specs import ARCHIVE
from plantops.deployment.broker import connect
from plantops.deployment.runtime_file import read_running
from plantops.deployment.secret_store import resolver
from plantops.deployment.site import Site
from plantops.events.base import PrincipalName
from plantops.flow.context import Context
from plantops.flow.jetstream import JetStreamBus
from plantops.gateway.specs import GATEWAY
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerError
from plantops.runtime.nkey import NKey
from plantops.tools.specs import TOOLS_AUDIT


@dataclass(frozen=True)
class Front:
    """One site's front. `fatal` is told when the broker refuses a connection for good; `opened` hears of each
    connection by its identity."""

    site: Site
    stopping: asyncio.Event
    fatal: Callable[[BrokerError], None]
    opened: Callable[[str, JetStreamBus], None]

    async def tools(self, context: Context) -> None:
        """The tools, with a second login that reads the audit."""
        from plantops.tools.process import run_tools  # noqa: PLC0415

        served = self.site.folder.state(ARCHIVE) / SERVED_FILE
        async with self._connected(TOOLS_AUDIT) as audit:
            await run_tools(context, audit, self.site.settings.tools, served)

    async def agent(self, context: Context) -> None:
        """The agent, with a second login by which it is a client like any other."""
        from plantops.agent.models.factory import language_model  # noqa: PLC0415
        from plantops.agent.process import run_agent  # noqa: PLC0415

        settings = self.site.settings.agent
        key = SigningKey.load(self.site.folder.identity(AGENT).signing)
        async with self._connected(AGENT) as client:
            model = language_model(settings.model, resolver(self.site), self.site.folder.root)
            await run_agent(context, client, key, settings, model)

    async def gateway(self, context: Context, replica: int) -> None:
        """The gateway: its only login is that of a client, and what it knows of the policy is the file."""
        from plantops.gateway.desk import Desk  # noqa: PLC0415
        from plantops.gateway.process import Place, Served, run_gateway  # noqa: PLC0415

        folder, settings = self.site.folder, self.site.settings.gateway
        running = read_running(folder)
        if not settings.port and running is not None:
            settings = msgspec.structs.replace(settings, port=running.gateway)
        desk = Desk(
            site=context.site,
            name=PrincipalName(GATEWAY),
            bus=context.bus,
            key=context.signer.key,
            in_force=context.in_force,
            plant=context.plant,
            settings=settings,
            stopping=self.stopping,
        )
        place = Place(folder.root, folder.state(GATEWAY), replica, resolver(self.site))
        await run_gateway(desk, place, Served(ready=context.ready))

    @asynccontextmanager
    async def _connected(self, name: str) -> AsyncIterator[JetStreamBus]:
        login = NKey.load(self.site.folder.identity(name).login)
        bus = await connect(self.site, name, login, on_fatal=self.fatal)
        self.opened(name, bus)
        try:
            yield bus
        finally:
            await bus.close()
