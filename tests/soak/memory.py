"""What the reference model remembers: what people did, what the log says, what devices were given."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime

from plantops.events.base import Scalar
from soak.followers import Follower, Standing
from soak.ground import SOURCE_OF, Profile
from soak.words import Ask, Vote


@dataclass
class Simulation:
    """A simulation that waits for a person: what it said, when, on which policy, before which stop."""

    result: str
    at: datetime
    policy: str
    generation: int
    used_by: str = ""


@dataclass
class Wanted:
    """A request for approvals; `counted` are the votes that the gate has had before it."""

    decision: str
    at: datetime
    policy: str
    generation: int
    escalated: bool = False
    counted: list[Vote] = field(default_factory=list)
    rejected: bool = False


@dataclass
class Permitted:
    """A permit in the log, and what was done upon it. `ask` is what it comes to: an undo's is what it undoes.

    `until` is when it runs out. `gate_knows_...` tells what the gate had read, which may lag behind.
    """

    ask: Ask
    at: datetime
    generation: int
    policy: str
    safe: bool
    until: datetime
    moved: float = 0.0
    undoes: str = ""
    is_withdrawn: bool = False
    is_expired: bool = False
    claimed_by: str = ""
    claimed_upon: Standing | None = None
    audited: bool = False
    final: str = ""
    gate_knows_claim: bool = False
    gate_knows_final: str = ""
    run: int = 0
    done: list[tuple[str, object]] = field(default_factory=list)
    before: list[tuple[str, object]] = field(default_factory=list)
    taken_back: int = 0

    @property
    def command(self) -> str:
        """Whose it is."""
        return self.ask.command

    @property
    def executor(self) -> str:
        """Whose answers count."""
        return f"adapter-{SOURCE_OF[self.ask.asset]}"

    def is_under_way(self, at: datetime) -> bool:
        """As the gate can know it: claimed and without an end, or still to be claimed."""
        return not self.gate_knows_final and (self.gate_knows_claim or at <= self.until)


@dataclass(frozen=True)
class Locked:
    """A lock that hangs."""

    asset: str
    person: str


@dataclass(frozen=True)
class Bypassed:
    """A permissive that does not count for a time."""

    asset: str
    permissive: str
    since: datetime
    until: datetime

    def counts(self, at: datetime, profile: Profile) -> bool:
        """Whether it does now, by a policy that may have changed."""
        span = (self.until - self.since).total_seconds()
        return self.since <= at < self.until and profile.bypass is not None and span <= profile.bypass


@dataclass
class Memory:
    """All of it. `gate` is the policy that the gate has come to."""

    asks: defaultdict[str, list[Ask]] = field(default_factory=lambda: defaultdict(list))
    gate: Follower = field(default_factory=Follower)
    simulations: dict[str, Simulation] = field(default_factory=dict)
    wanted: dict[str, Wanted] = field(default_factory=dict)
    permits: dict[str, Permitted] = field(default_factory=dict)
    generations: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    locks: dict[str, Locked] = field(default_factory=dict)
    bypasses: dict[str, Bypassed] = field(default_factory=dict)
    writes: list[tuple[str, str]] = field(default_factory=list)
    """Asset and command of each write, in order."""

    def asset_of(self, command: str) -> str:
        """What a command is about; empty when nobody asked for it."""
        return next((ask.asset for ask in self.asks[command]), "")

    def genuine(self, command: str, standing: Standing) -> list[Ask]:
        """What was really asked under a name, by who may speak for the actor."""
        return [ask for ask in self.asks[command] if standing.is_genuine(ask)]

    def asked_acts(self, operation: str, name: str, value: Scalar, standing: Standing) -> list[Ask]:
        """Who asked for an act on something, and may."""
        return [
            ask
            for asks in self.asks.values()
            for ask in asks
            if ask.operation == operation
            and ask.argument(name) == value
            and ask.mode == "execute"
            and standing.is_genuine(ask)
            and standing.may(ask.actor, ask.asset, operation)
        ]

    def bypassed(self, asset: str, at: datetime, profile: Profile) -> frozenset[str]:
        """The permissives of an asset that do not count at `at`."""
        return frozenset(
            each.permissive
            for each in self.bypasses.values()
            if each.asset == asset and each.counts(at, profile)
        )

    def meant(self, ask: Ask, undoes: str) -> Ask | None:
        """What an ask comes to: itself, or what its undo would restore; None where nothing can be undone."""
        if ask.operation != "act-undo":
            return ask if not undoes else None
        target = self.permits.get(undoes)
        if target is None or ask.argument("command") != undoes or target.ask.asset != ask.asset:
            return None
        if target.safe or target.undoes or not target.before or len(target.ask.arguments) != 1:
            return None
        name, _value = target.ask.arguments[0]
        restored = target.before[0][1]
        assert isinstance(restored, bool | int | float | str)
        return replace(ask, operation=target.ask.operation, arguments=((name, restored),))
