"""Keeps the embedded broker's logins in step with the signed policy, without a restart."""

from __future__ import annotations

import asyncio

import structlog

from plantops.deployment.identities import logins
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.deployment.site import Site
from plantops.flow.accounts import ServerOptions, configuration
from plantops.flow.server import EmbeddedServer
from plantops.runtime.errors import BrokerUnavailable, PolicyRejected, SettingsError

LOOK_SECONDS = 1.0

log = structlog.get_logger("plantops.up")


class BrokerLogins:
    """`text` is the configuration that the server has, or is to be started with."""

    def __init__(self, site: Site, options: ServerOptions) -> None:
        """Raises: PolicyRejected, SettingsError."""
        self._site, self._options = site, options
        self._envelope = read_envelope(site.folder)
        self.text = self._configuration()

    def _configuration(self) -> str:
        policy = verify_envelope(self._site.folder, self._envelope).policy
        return configuration(logins(self._site, policy), self._options)

    async def follow(self, server: EmbeddedServer) -> None:
        """Until cancelled: who is new in the policy may log in, who is gone is cut off.

        A policy that does not hold, or that the server refuses, changes nothing and is told once.
        """
        told = ""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if await self._step(server):
                    log.info("broker.logins_changed")
                told = ""
            except (PolicyRejected, SettingsError, BrokerUnavailable) as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("broker.logins_unchanged", reason=told)

    async def _step(self, server: EmbeddedServer) -> bool:
        envelope = read_envelope(self._site.folder)
        if envelope == self._envelope or not server.is_running:
            return False
        self._envelope = envelope
        text = self._configuration()
        if text == self.text:
            return False
        await server.reload(text)
        self.text = text
        return True
