"""The agent as a process: its door, its work on turns, and its ears in the account of the clients.

Any number may run. None keeps anything that another one could not read from the stream.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from typing import Final

import structlog

from plantops.agent.acting import Hands
from plantops.agent.budgets import Budgets
from plantops.agent.catalogue import Catalogue
from plantops.agent.core import Bounds
from plantops.agent.door import Door
from plantops.agent.following import Commands
from plantops.agent.live import Live
from plantops.agent.port import LanguageModel
from plantops.agent.settings import AgentSettings, TurnSettings
from plantops.agent.specs import AGENT_HOST, turns
from plantops.agent.store import STREAM, Store
from plantops.agent.turns import Turns
from plantops.events.base import PrincipalName, Record, encode_json
from plantops.flow.audited import keep_auditing
from plantops.flow.bus import Bus
from plantops.flow.context import Context
from plantops.flow.dead import DeadLetters
from plantops.flow.declaration import consumer_name
from plantops.flow.policies import follow
from plantops.flow.worker import run_worker
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerError

HEARTBEAT_SECONDS: Final = 3.0
"""Well below the wait of `specs.turns` for an acknowledgement."""

REFUSED_SECONDS: Final = 1.0
_MAX_LOGINS: Final = 1000

log = structlog.get_logger("plantops.agent")


class ChatRefused(Record, frozen=True):
    """Audit body of what the chat's door turned away. `refusal` tells it from others: hosts share a chain."""

    refusal: str
    subject: str
    reason: str


class AgentProcess:
    """One host. `client` is the agent's own login among the clients, `key` signs its intents."""

    def __init__(
        self, context: Context, client: Bus, key: SigningKey, settings: AgentSettings, model: LanguageModel
    ) -> None:
        self._context, self._settings, self._model = context, settings, model
        live = Live()
        self._store = Store(
            context.site, context.bus, context.signer, context.in_force, context.now, self._changed
        )
        budgets = Budgets(
            context.site, context.bus, context.signer, context.in_force, settings.budget, context.now
        )
        catalogue = Catalogue(context.site, client, settings.tool_seconds)
        self._commands = Commands(context.site, client)
        hands = Hands(
            client,
            key,
            context.plant,
            catalogue,
            self._commands,
            settings.turn.follow_seconds,
            settings.turn.tool_characters,
        )
        self._turns = Turns(
            self._store,
            model,
            catalogue,
            hands,
            budgets,
            live,
            DeadLetters(context.bus, context.signer, AGENT_HOST),
            bounds_of(settings.turn),
            context.now,
        )
        self._live = live
        self._door = Door(
            context.site,
            self._store,
            budgets,
            live,
            context.in_force,
            settings,
            PrincipalName(client.identity),
            context.now,
            self._refused,
        )
        self._refused_at: dict[str, float] = {}

    def _changed(self, name: str) -> None:
        self._door.ended(name)
        self._live.tell(name)

    def _refused(self, subject: str, reason: str) -> None:
        """Into the audit, once a second for each login: who is turned away again and again fills nothing."""
        auditor, moment = self._context.auditor, time.monotonic()
        login = ".".join(subject.split(".")[:4])
        if auditor is None or moment - self._refused_at.get(login, -math.inf) < REFUSED_SECONDS:
            return
        self._refused_at[login] = moment
        while len(self._refused_at) > _MAX_LOGINS:
            del self._refused_at[next(iter(self._refused_at))]
        try:
            auditor.note(
                "chat.refused",
                encode_json(ChatRefused(refusal=secrets.token_hex(12), subject=subject, reason=reason)),
            )
        except BrokerError as away:
            log.warning("chat.refusal_not_audited", subject=subject, cause=str(away))

    async def run(self) -> None:
        """Until cancelled. Raises: BrokerError and whatever else ends a process."""
        context, reads = self._context, turns(self._context.site)
        reader = await context.bus.reader(STREAM, consumer_name(context.name, reads))
        await self._commands.start()
        door = await context.bus.serve(f"door.chat.{context.site}.>", self._door.answer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(follow(context.bus, context.in_force))
                group.create_task(
                    run_worker(
                        reader,
                        self._turns,
                        concurrency=self._settings.concurrency,
                        heartbeat_seconds=HEARTBEAT_SECONDS,
                    )
                )
                if context.auditor is not None:
                    group.create_task(keep_auditing(context))
                context.ready()
        except BaseExceptionGroup as ended:
            # The first one ended the others; a person meets it alone.
            raise ended.exceptions[0] from None
        finally:
            await door.drain()
            self._live.close()
            await self._commands.stop()
            await self._model.close()


async def run_agent(
    context: Context, client: Bus, key: SigningKey, settings: AgentSettings, model: LanguageModel
) -> None:
    """Until cancelled. Raises: as `AgentProcess.run`."""
    await AgentProcess(context, client, key, settings, model).run()


def bounds_of(settings: TurnSettings) -> Bounds:
    """What one turn may take, as the site file tells it."""
    return Bounds(
        steps=settings.steps,
        calls=settings.calls,
        tokens=settings.tokens,
        seconds=settings.seconds,
        reply_tokens=settings.reply_tokens,
        model_seconds=settings.model_seconds,
        shown_turns=settings.shown_turns,
        shown_characters=settings.shown_characters,
    )
