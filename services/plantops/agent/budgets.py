"""What each identity has used of turns, model calls, tokens and money: events, shared by all hosts.

The whole account stands in its last event, which the next one replaces by compare-and-set. A host that is
busy charges several turns ahead and then works those off, so that the log does not get an event for each.
What it has charged and not used when it dies is lost to the identity until the window ends, never given
twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

import structlog

from plantops.agent.settings import BudgetSettings
from plantops.agent.store import STREAM
from plantops.events import Event, event_type
from plantops.events.base import PrincipalName, SiteName
from plantops.events.conversation import BudgetCharged, BudgetExceeded, Usage
from plantops.events.subjects import agent
from plantops.flow.bus import Bus
from plantops.flow.reading import UNUSABLE, read_event
from plantops.flow.signing import Signer
from plantops.flow.trust import Trust
from plantops.runtime.errors import BrokerError, BrokerUnavailable, Conflict

What: TypeAlias = Literal["turns", "calls", "tokens", "cost", "concurrency"]

_MOST_AHEAD: Final = 64
_AHEAD_WITHIN_SECONDS: Final = 1.0
# A turn with one command asks a model twice.
_CALLS_A_TURN: Final = 2
_ATTEMPTS: Final = 50
_MAX_TOKEN: Final = 64

log = structlog.get_logger("plantops.agent")


def account_name(identity: PrincipalName) -> str:
    """The conversation under which an identity's account stands."""
    name = f"model-budget-{identity}"
    if len(name) <= _MAX_TOKEN:
        return name
    return f"model-budget-{hashlib.sha256(identity.encode()).hexdigest()[:32]}"


@dataclass
class _Account:
    charged: BudgetCharged | None = None
    sequence: int = 0
    is_known: bool = False
    turns: int = 0  # charged, and not yet used here
    calls: int = 0
    ahead: int = 1
    last: float = 0.0
    told: set[tuple[str, datetime]] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Budgets:
    """The accounts of one site, as this host sees them."""

    site: SiteName
    bus: Bus
    signer: Signer
    trust: Trust
    settings: BudgetSettings
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _accounts: dict[PrincipalName, _Account] = field(default_factory=dict, repr=False)

    async def take_turn(self, identity: PrincipalName) -> BudgetExceeded | None:
        """Charge a turn; or what forbids it, which is stored then. Raises: BrokerError."""
        return await self._take(identity, "turns")

    async def take_call(self, identity: PrincipalName) -> BudgetExceeded | None:
        """Charge one call of a model; or what forbids it. Raises: BrokerError."""
        return await self._take(identity, "calls")

    async def spend(self, identity: PrincipalName, usage: Usage) -> None:
        """Charge what a reply has cost. Raises: BrokerError."""
        if not (usage.input_tokens or usage.output_tokens or usage.cost):
            return
        account = self._account(identity)
        async with account.lock:
            await self._charge(identity, account, turns=0, calls=0, usage=usage)

    async def exceeded(self, identity: PrincipalName, what: What, limit: float) -> BudgetExceeded:
        """Say that a bound was hit, once in a window. Raises: BrokerError."""
        account = self._account(identity)
        async with account.lock:
            return await self._exceed(identity, account, what, limit)

    async def _take(self, identity: PrincipalName, what: Literal["turns", "calls"]) -> BudgetExceeded | None:
        account = self._account(identity)
        async with account.lock:
            if not account.is_known:
                await self._look(identity, account)
            if self._window(account) is None:
                account.turns = account.calls = 0
            if getattr(account, what) == 0:
                denied = await self._more(identity, account, what)
            else:
                denied = self._over(account)
            if denied is not None:
                return await self._exceed(identity, account, *denied)
            setattr(account, what, getattr(account, what) - 1)
            return None

    async def _more(
        self, identity: PrincipalName, account: _Account, what: Literal["turns", "calls"]
    ) -> tuple[What, float] | None:
        """Charge ahead: twice as many as the last time while that was a moment ago."""
        moment = time.monotonic()
        is_busy = moment - account.last < _AHEAD_WITHIN_SECONDS
        account.ahead = min(2 * account.ahead, _MOST_AHEAD) if is_busy else 1
        account.last = moment
        turns = account.ahead if what == "turns" else 0
        calls = max(account.ahead, _CALLS_A_TURN * account.ahead - account.calls)
        return await self._charge(identity, account, turns=turns, calls=calls, must=what)

    async def _charge(
        self,
        identity: PrincipalName,
        account: _Account,
        *,
        turns: int,
        calls: int,
        usage: Usage = Usage(),  # noqa: B008 - a frozen value
        must: Literal["", "turns", "calls"] = "",
    ) -> tuple[What, float] | None:
        if not account.is_known:
            await self._look(identity, account)
        for _attempt in range(_ATTEMPTS):
            base = self._window(account)
            used_turns, used_calls = (base.turns, base.calls) if base else (0, 0)
            grant_turns = min(turns, max(0, self.settings.turns - used_turns))
            grant_calls = min(calls, max(0, self.settings.calls - used_calls))
            if must:
                if denied := self._over(account):
                    return denied
                if (grant_turns if must == "turns" else grant_calls) == 0:
                    return must, float(getattr(self.settings, must))
            event = self._event(identity, base, grant_turns, grant_calls, usage)
            try:
                account.sequence = await self._publish(event, expected_last=account.sequence)
            except Conflict:
                await self._look(identity, account)  # another host has charged meanwhile
                continue
            except BrokerError:
                account.is_known = False
                raise
            account.charged = event
            account.turns += grant_turns
            account.calls += grant_calls
            return None
        raise BrokerUnavailable(f"the account of {identity!r} changes all the time: try again", stream=STREAM)

    def _event(
        self, identity: PrincipalName, base: BudgetCharged | None, turns: int, calls: int, usage: Usage
    ) -> BudgetCharged:
        now = self.now()
        return BudgetCharged(
            site=self.site,
            conversation=account_name(identity),
            identity=identity,
            budget="model",
            since=base.since if base else now,
            at=now,
            turns=(base.turns if base else 0) + turns,
            calls=(base.calls if base else 0) + calls,
            input_tokens=(base.input_tokens if base else 0) + usage.input_tokens,
            output_tokens=(base.output_tokens if base else 0) + usage.output_tokens,
            cost=(base.cost if base else 0.0) + usage.cost,
        )

    def _over(self, account: _Account) -> tuple[What, float] | None:
        """What cannot be charged ahead, since it is known only behind the reply."""
        base = self._window(account)
        if base is None:
            return None
        if base.input_tokens + base.output_tokens >= self.settings.tokens:
            return "tokens", float(self.settings.tokens)
        if base.cost > self.settings.cost:
            return "cost", self.settings.cost
        return None

    def _window(self, account: _Account) -> BudgetCharged | None:
        """The account while its window lasts."""
        charged = account.charged
        if charged is None or self.now() >= self._until(charged.since):
            return None
        return charged

    def _until(self, since: datetime) -> datetime:
        return since + timedelta(seconds=self.settings.window_seconds)

    async def _exceed(
        self, identity: PrincipalName, account: _Account, what: What, limit: float
    ) -> BudgetExceeded:
        base = self._window(account)
        since = base.since if base else self.now()
        event = BudgetExceeded(
            site=self.site,
            conversation=account_name(identity),
            identity=identity,
            budget="model",
            what=what,
            limit=limit,
            until=self.now() if what == "concurrency" else self._until(since),
        )
        if (what, since) not in account.told:
            account.told = {(what, since)} | {told for told in account.told if told[1] == since}
            await self._publish(event)
            log.warning("agent.budget_exceeded", identity=identity, what=what, limit=limit)
        return event

    async def _look(self, identity: PrincipalName, account: _Account) -> None:
        """Read the account anew; what it says that nobody may say is taken for nothing used yet."""
        subject = agent(self.site, account_name(identity), "budget_charged")
        stored = await self.bus.last(STREAM, subject)
        account.is_known, account.charged, account.sequence = True, None, 0
        if stored is None:
            return
        account.sequence = stored.sequence
        try:
            event, _signer = read_event(stored, self.trust)
        except UNUSABLE as error:
            log.warning("agent.unusable_account", subject=stored.subject, reason=str(error))
            return
        if isinstance(event, BudgetCharged) and (event.identity, event.budget) == (identity, "model"):
            account.charged = event

    async def _publish(self, event: BudgetCharged | BudgetExceeded, expected_last: int | None = None) -> int:
        kind = event_type(event).partition(".")[2]
        subject = agent(self.site, event.conversation, kind)
        message = self.signer.message(subject, event, id=self._identity(event), time=self.now())
        return await self.bus.publish(message, stream=STREAM, expected_last=expected_last)

    def _identity(self, event: Event) -> str:
        return f"{self.signer.name}.{time.time_ns():x}.{event_type(event)}"

    def _account(self, identity: PrincipalName) -> _Account:
        return self._accounts.setdefault(identity, _Account())
