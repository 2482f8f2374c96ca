"""A turn, from its question to its end: asks models, makes calls, stores what came of it.

Any host may be given a turn, also twice, also one that another host began. It reads what is stored, does what
`core.next_step` says, and adds to it by compare-and-set. Who is overtaken looks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from plantops.agent.acting import Hands
from plantops.agent.budgets import Budgets
from plantops.agent.catalogue import Catalogue
from plantops.agent.conversation import Conversation, fold
from plantops.agent.core import (
    AskModel,
    Bounds,
    EndTurn,
    MakeCalls,
    accept,
    build_request,
    end,
    next_step,
)
from plantops.agent.live import Live
from plantops.agent.port import LanguageModel, ModelReply, ModelRequest, ModelUnavailable, request_digest
from plantops.agent.store import STREAM, Held, Store
from plantops.events import Event
from plantops.events.conversation import TurnAsked, TurnStatus
from plantops.events.tooling import ToolListed
from plantops.flow.bus import Stored
from plantops.flow.dead import DeadLetters
from plantops.flow.reading import UNUSABLE, read_event
from plantops.runtime.errors import BrokerError, BrokerUnavailable, Conflict, Refused

# A model that answers at once shares one write with what it was told; another one does not keep it waiting.
_TOGETHER_SECONDS: Final = 0.02
_OVERTAKEN: Final = 5
_SPARE_SECONDS: Final = 2.0
_LEAST_SECONDS: Final = 0.1

log = structlog.get_logger("plantops.agent")


@dataclass
class _Work:
    """A turn in hand: what is stored, and what happened since and is not stored yet."""

    held: Held
    pending: list[Event] = field(default_factory=list)
    offered: tuple[ToolListed, ...] | None = None

    @property
    def state(self) -> Conversation:
        return fold(self.pending, self.held.state)


@dataclass
class Turns:
    """The effect behind each question; see `flow.worker`."""

    store: Store
    model: LanguageModel
    catalogue: Catalogue
    hands: Hands
    budgets: Budgets
    live: Live
    dead: DeadLetters
    bounds: Bounds
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _at_work: dict[str, asyncio.Event] = field(default_factory=dict, repr=False)

    async def __call__(self, stored: Stored) -> None:
        """Returns when the turn has ended. Raises: BrokerError, in which case it comes again."""
        try:
            asked, _signer = read_event(stored, self.store.trust)
        except UNUSABLE as error:
            await self.dead.bury(stored, str(error))
            return
        if not isinstance(asked, TurnAsked):
            await self.dead.bury(stored, f"{type(asked).__name__} is no question")
            return
        name = asked.conversation
        while name in self._at_work:  # the same question may be delivered again meanwhile: once is enough
            await self._at_work[name].wait()
        done = self._at_work[name] = asyncio.Event()
        try:
            await self._answer(asked, stored.sequence)
        finally:
            del self._at_work[name]
            done.set()

    async def _answer(self, asked: TurnAsked, sequence: int) -> None:
        name = asked.conversation
        for _attempt in range(_OVERTAKEN):
            held = await self.store.load(name, at_least=sequence)
            turn = held.state.turn(asked.turn)
            if turn is None or turn.ended is not None:
                return
            try:
                with self.live.working(name):
                    await self._work(_Work(held))
            except Conflict as overtaken:
                log.info("turn.overtaken", conversation=name, turn=asked.turn, reason=overtaken.message)
                continue
            return
        raise BrokerUnavailable(f"{name} changes all the time: the turn is tried again later", stream=STREAM)

    async def _work(self, work: _Work) -> None:
        while (step := next_step(work.state, self.bounds, is_late=self._is_late(work))) is not None:
            match step:
                case AskModel():
                    await self._ask(work, step)
                case MakeCalls():
                    work.pending += await self.hands.make(work.state, step, await self._callable(work))
                case EndTurn():
                    work.pending.append(step.ended)
        await self._save(work)

    async def _ask(self, work: _Work, step: AskModel) -> None:
        turn = work.state.turns[-1]
        try:
            known = tuple((await self._known(work)).values())
            if work.offered is None:
                words = _words(work.state)
                work.offered = await self.catalogue.offered(turn.chain, words, known, self.model)
        except Refused as error:
            self._end(work, "failed", f"The tool service says no: {error} ({error.reason}).")
            return
        except BrokerError as error:
            self._end(work, "failed", f"The tool service does not answer, so nothing was done: {error}.")
            return
        identity = turn.chain[-1]
        if (over := await self.budgets.take_call(identity)) is not None:
            text = f"The budget of {identity} is used up ({over.what}, limit {over.limit:g})"
            self._end(work, "over_budget", f"{text}: it opens again at {over.until:%Y-%m-%d %H:%M:%S} UTC.")
            return
        request = build_request(work.state, step, self.bounds, offered=work.offered, known=known)
        try:
            reply = await self._reply(work, request)
        except ModelUnavailable as error:
            self._end(work, "failed", f"No model answers, so nothing more was done: {error.message}.")
            return
        replied = accept(request, reply, request_digest(request))
        work.pending.append(replied)
        after = next_step(work.state, self.bounds, is_late=False)
        if isinstance(after, EndTurn):
            work.pending.append(after.ended)
        await self.budgets.spend(identity, reply.usage)
        await self._save(work)
        self.live.begin(work.held.name)  # what was heard is stored now

    async def _reply(self, work: _Work, request: ModelRequest) -> ModelReply:
        """Raises: ModelUnavailable, BrokerError."""
        name = work.held.name
        self.live.begin(name)
        asking = asyncio.create_task(self._complete(name, request))
        try:
            await asyncio.wait((asking,), timeout=_TOGETHER_SECONDS)
            if not asking.done():
                await self._save(work)
            return await asking
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _complete(self, name: str, request: ModelRequest) -> ModelReply:
        """Within what is left of the turn; a provider that stands in for a slow one gets the last seconds."""
        left = self.bounds.seconds - (self.now() - request.facts.asked_at).total_seconds()
        seconds = max(_LEAST_SECONDS, min(request.limits.seconds, left - _SPARE_SECONDS))
        limits = msgspec.structs.replace(request.limits, seconds=seconds)
        shown = msgspec.structs.replace(request, limits=limits)
        try:
            async with asyncio.timeout(seconds + _SPARE_SECONDS):
                return await self.model.complete(shown, lambda text: self.live.hear(name, text))
        except TimeoutError as error:
            raise ModelUnavailable(f"{self.model.name} gave no reply in {seconds:.0f} s") from error

    async def _known(self, work: _Work) -> Mapping[str, ToolListed]:
        """By name. Raises: Refused, BrokerError."""
        return {tool.name: tool for tool in await self.catalogue.known(work.state.turns[-1].chain)}

    async def _callable(self, work: _Work) -> Mapping[str, ToolListed]:
        """Nothing, where the chain may use nothing any more. Raises: BrokerError."""
        try:
            return await self._known(work)
        except Refused as error:
            log.info("agent.no_tools", reason=error.message)
            return {}

    async def _save(self, work: _Work) -> None:
        """Raises: Conflict, BrokerError."""
        if work.pending:
            work.held = await self.store.append(work.held, *work.pending)
            work.pending = []

    def _end(self, work: _Work, status: TurnStatus, reply: str) -> None:
        work.pending.append(end(work.state.turns[-1], status, reply))

    def _is_late(self, work: _Work) -> bool:
        turn = work.state.open
        if turn is None:
            return False
        return (self.now() - turn.asked.asked_at).total_seconds() > self.bounds.seconds


def _words(state: Conversation) -> str:
    """What the tools are searched for: the question, with the one before, on which it may lean."""
    return "\n".join(turn.asked.question for turn in reversed(state.visible[-2:]))
