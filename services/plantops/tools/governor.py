"""Budgets: who may call how much, shared by all processes and kept over restarts, as events on AGENT.

Charged are two accounts: that of the natural person at the end of the chain, whoever asks for him, and that
of the program that asks. A person's account has the runaway breaker. Each is one subject, whose last event is
the whole account, written by compare-and-set (`account` says how calls are taken ahead). How many are at work
at a time is bounded in each process by itself: that needs no memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import structlog

from plantops.events import Event
from plantops.events.base import PrincipalName, SiteName, encode_json, is_token
from plantops.events.conversation import BudgetCharged, BudgetExceeded
from plantops.events.envelope import EVENT_ID
from plantops.events.subjects import agent
from plantops.flow.bus import Bus, Stored
from plantops.flow.reading import UNUSABLE, header, read_event
from plantops.flow.signing import Signer
from plantops.policy.document import Policy
from plantops.policy.in_force import InForce
from plantops.runtime.errors import BrokerError, Conflict
from plantops.tools.account import Hand, charged, identical, is_open, left
from plantops.tools.contract import ToolError
from plantops.tools.settings import PersonBudget, ProgramBudget, ToolSettings

ATTEMPTS: Final = 32
_PAGE: Final = 64

log = structlog.get_logger("plantops.tools.governor")

Who: TypeAlias = Literal["person", "program"]
What: TypeAlias = Literal["calls", "identical", "concurrency"]


class OverBudget(ToolError):
    """An identity has called enough: `what` is the bound, `until` when it opens again."""

    def __init__(self, message: str, *, what: What, until: datetime) -> None:
        super().__init__("over_budget", message)
        self.what = what
        self.until = until


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose account it is, and what it allows."""

    who: Who
    name: str
    budget: PersonBudget | ProgramBudget

    @property
    def conversation(self) -> str:
        """The token of its subjects; a name that does not fit stands there by its digest."""
        plain = f"budget-tools-{self.who}-{self.name}"
        if is_token(plain):
            return plain
        return f"budget-tools-hashed-{hashlib.sha256(plain.encode()).hexdigest()[:32]}"


def identities(
    policy: Policy, chain: Sequence[PrincipalName], settings: ToolSettings
) -> tuple[Identity, ...]:
    """Who pays for a call: the natural person, and the program that asks. One that stands for nobody pays as
    a person does."""
    caller, last = policy.principals[chain[0]], policy.principals[chain[-1]]
    if not last.person:
        return (Identity("program", chain[0], settings.person),)
    person = Identity("person", last.person, settings.person)
    if caller.kind == "person":
        return (person,)
    return person, Identity("program", chain[0], settings.program)


def digest_of(*parts: object) -> str:
    """By what two calls are told apart."""
    return hashlib.sha256(encode_json(parts)).hexdigest()[:16]


@dataclass(slots=True)
class _Kept:
    """One account as this process knows it: its last event, None and 0 before the first."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    last: BudgetCharged | None = None
    sequence: int = 0
    is_known: bool = False
    hand: Hand = field(default_factory=Hand)
    # Calls taken by a message of which it is not known whether it was stored, by its id.
    unsure: dict[str, int] = field(default_factory=dict)
    # Until when an excess needs not be told again, by its bound.
    told: dict[str, datetime] = field(default_factory=dict)
    inside: int = 0


@dataclass
class Governor:
    """Charges calls. A process that dies takes with it what it held of a block, and nothing else."""

    site: SiteName
    bus: Bus
    signer: Signer
    in_force: InForce
    settings: ToolSettings
    now: Callable[[], datetime]
    _accounts: dict[str, _Kept] = field(default_factory=dict, repr=False)
    _token: str = field(default_factory=lambda: secrets.token_hex(8), repr=False)
    _serial: int = field(default=0, repr=False)

    @asynccontextmanager
    async def at_work(self, payers: Sequence[Identity], tool: str) -> AsyncIterator[None]:
        """Be one of those at work for each of the identities. Raises: OverBudget."""
        with ExitStack() as inside:
            for identity in payers:
                try:
                    inside.enter_context(self._place(identity))
                except OverBudget as over:
                    await self._tell(identity, over, tool)
                    raise
            yield

    @contextmanager
    def _place(self, identity: Identity) -> Iterator[None]:
        kept = self._account(identity)
        if kept.inside >= identity.budget.concurrent:
            raise OverBudget(
                f"{kept.inside} requests of {identity.name} are at work already: wait for one of them",
                what="concurrency",
                until=self.now() + timedelta(seconds=1),
            )
        kept.inside += 1
        try:
            yield
        finally:
            kept.inside -= 1

    async def charge(self, identity: Identity, digest: str, tool: str) -> int:
        """Count one call; returns how many more the window allows.

        Raises: OverBudget, told once in each window as an event; ToolError or BrokerError when the account
        cannot be read or written, and then nothing may be called.
        """
        kept = self._account(identity)
        async with kept.lock:
            for _attempt in range(ATTEMPTS):
                is_fresh = not kept.is_known
                try:
                    if await self._is_taken(identity, kept, digest):
                        assert kept.last is not None
                        return left(kept.last, kept.hand, identity.budget.calls)
                except OverBudget as over:
                    if is_fresh:
                        await self._tell(identity, over, tool)
                        raise
                    kept.is_known = False  # others may have told meanwhile what they held
        raise ToolError("unavailable", f"the account of {identity.name} is in use by others: try again")

    async def _tell(self, identity: Identity, over: OverBudget, tool: str) -> None:
        """Store that a call was refused, once for each bound and window."""
        kept = self._account(identity)
        now = self.now()
        if now < kept.told.get(over.what, now):
            return
        window = timedelta(seconds=self.settings.window_seconds)
        kept.told[over.what] = now + window if over.what == "concurrency" else over.until
        event = BudgetExceeded(
            site=self.site,
            conversation=identity.conversation,
            identity=PrincipalName(identity.name),
            budget="tools",
            what=over.what,
            limit=_limit(identity.budget, over.what),
            until=over.until,
            tool=tool,
        )
        try:
            await self._store(identity, "budget_exceeded", event, self._next_id(identity), None)
        except BrokerError as error:
            log.warning("tools.excess_not_told", identity=identity.name, what=over.what, reason=error.message)

    def _account(self, identity: Identity) -> _Kept:
        return self._accounts.setdefault(identity.conversation, _Kept())

    async def _is_taken(self, identity: Identity, kept: _Kept, digest: str) -> bool:
        """Whether the call is counted; False where another process was quicker. Raises: as `charge`."""
        now, window = self.now(), timedelta(seconds=self.settings.window_seconds)
        if not kept.is_known:
            await self._read(identity, kept)
        if kept.last is None or not is_open(kept.last, now, window):
            kept.hand = Hand()
            before = self._opened(identity, now)
        else:
            before = kept.last
            self._check_breaker(identity, before, kept.hand, digest, before.since + window)
        if kept.hand.left == 0:
            count = min(identity.budget.block, identity.budget.calls - before.calls)
            if count <= 0:
                raise _over(identity, "calls", before.since + window)
            if not await self._take(identity, kept, charged(before, kept.hand, count, now), count):
                return False
        kept.hand.use(digest)
        return True

    def _check_breaker(
        self, identity: Identity, account: BudgetCharged, hand: Hand, digest: str, until: datetime
    ) -> None:
        budget = identity.budget
        if isinstance(budget, PersonBudget) and identical(account, hand, digest) >= budget.identical:
            raise _over(identity, "identical", until)

    async def _take(self, identity: Identity, kept: _Kept, event: BudgetCharged, count: int) -> bool:
        """Store the account with `count` more calls in this process's hand; False when it has moved on."""
        unique = self._next_id(identity)
        kept.unsure[unique], kept.is_known = count, False
        try:
            sequence = await self._store(identity, "budget_charged", event, unique, kept.sequence)
        except Conflict:
            return False
        kept.last, kept.sequence, kept.is_known = event, sequence, True
        kept.hand = Hand(left=count)
        kept.unsure.clear()
        return True

    async def _read(self, identity: Identity, kept: _Kept) -> None:
        """What others stored meanwhile, and whether our own last word was stored."""
        subject = agent(self.site, identity.conversation, "budget_charged")
        last = await self.bus.last("AGENT", subject)
        if last is None or last.sequence < kept.sequence:
            kept.hand, kept.sequence = Hand(), 0  # another stream stands there than before
        start = kept.sequence + 1
        while kept.unsure and (page := await self.bus.history("AGENT", subject, start, _PAGE)):
            for stored in page:
                if (count := kept.unsure.get(header(stored, EVENT_ID))) is not None:
                    kept.hand = Hand(left=count)
            start = page[-1].sequence + 1
        kept.last = None if last is None else self._open_account(last)
        kept.sequence = 0 if last is None else last.sequence
        kept.unsure.clear()
        kept.is_known = True

    def _open_account(self, stored: Stored) -> BudgetCharged:
        """Raises: ToolError: what stands there is no account of ours."""
        try:
            event, signer = read_event(stored, self.in_force.ever)
        except UNUSABLE as error:
            raise ToolError(
                "unavailable",
                f"the account on {stored.subject} (AGENT {stored.sequence}) cannot be believed: {error}",
            ) from error
        if signer != self.signer.name or not isinstance(event, BudgetCharged):
            raise ToolError("unavailable", f"the account on {stored.subject} is {signer!r}'s, not ours")
        return event

    def _opened(self, identity: Identity, now: datetime) -> BudgetCharged:
        return BudgetCharged(
            site=self.site,
            conversation=identity.conversation,
            identity=PrincipalName(identity.name),
            budget="tools",
            since=now,
            at=now,
            calls=0,
        )

    def _next_id(self, identity: Identity) -> str:
        self._serial += 1
        return f"{identity.conversation}.{self._token}.{self._serial}"

    async def _store(
        self, identity: Identity, name: str, event: Event, unique: str, expected: int | None
    ) -> int:
        subject = agent(self.site, identity.conversation, name)
        message = self.signer.message(subject, event, id=unique, time=self.now())
        return await self.bus.publish(message, stream="AGENT", message_id=unique, expected_last=expected)


def _limit(budget: PersonBudget | ProgramBudget, what: What) -> int:
    if what == "concurrency":
        return budget.concurrent
    if what == "identical" and isinstance(budget, PersonBudget):
        return budget.identical
    return budget.calls


def _over(identity: Identity, what: What, until: datetime) -> OverBudget:
    limit = _limit(identity.budget, what)
    told = "the same call was made" if what == "identical" else "calls were made"
    return OverBudget(
        f"{told} {limit} times for {identity.name}: the next is possible at {until:%H:%M:%S} UTC",
        what=what,
        until=until,
    )
