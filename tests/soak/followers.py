"""The reference model's own idea of which policy counts, and of whom it lets do what."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from soak.doing import ACTS, SAFE, is_act
from soak.ground import AGENT, PERSONS, SITE, Profile
from soak.words import Ask, Offer


@dataclass(frozen=True)
class Standing:
    """A policy that was believed; whether it is valid now is asked each time."""

    offer: Offer
    people: frozenset[str] = field(default=frozenset(PERSONS))

    @property
    def digest(self) -> str:
        """Its content's name."""
        return self.offer.digest

    @property
    def profile(self) -> Profile:
        """What it allows."""
        return self.offer.profile

    def is_valid(self, at: datetime) -> bool:
        """Whether it counts for the normal direction."""
        return self.offer.starts <= at < self.offer.ends

    def knows(self, name: str) -> bool:
        """Whether it stands in the policy."""
        return name in self.people or name == AGENT

    def person(self, name: str) -> str:
        """The natural person behind a login; bob has two."""
        return PERSONS.get(name, name)

    def person_behind(self, ask: Ask) -> str:
        """The natural person for whom it is asked; empty where nobody is."""
        last = (ask.actor, *ask.behalf)[-1]
        return PERSONS.get(last, "")

    def persons_behind(self, ask: Ask) -> frozenset[str]:
        """Everybody who asked: none of them approves."""
        return frozenset(self.person(name) for name in (ask.actor, *ask.behalf))

    def is_genuine(self, ask: Ask) -> bool:
        """Whether these are the actor's own words: by his key, or (without one) by his login."""
        if not ask.whole or not self.knows(ask.actor):
            return False
        return ask.by == ask.actor if ask.by else ask.login == ask.actor

    def may(self, name: str, asset: str, operation: str) -> bool:
        """Whether a role of his covers it."""
        profile = self.profile
        is_operator = name in profile.operators
        is_supervisor = name in profile.supervisors
        if is_act(operation):
            return (
                (is_operator and operation in ACTS["operator"])
                or (is_supervisor and operation in ACTS["supervisor"])
                or (name in profile.maintainers and operation in ACTS["maintainer"])
            )
        if operation in SAFE:
            return is_operator or is_supervisor
        return is_operator

    def may_approve(self, name: str, *, is_escalated: bool) -> bool:
        """Only persons approve: supervisors, and the chief once it was passed on to him."""
        if name not in self.people:
            return False
        chiefs = self.profile.maintainers if is_escalated else frozenset()
        return name in self.profile.supervisors or name in chiefs


class Follower:
    """One process that reads POLICY: goes by the newest that holds, and keeps it when the next does not."""

    def __init__(self) -> None:
        self.standing: Standing | None = None

    @property
    def digest(self) -> str:
        """Of the one that counts; empty before the first."""
        return "" if self.standing is None else self.standing.digest

    def offered(self, offer: Offer, at: datetime) -> bool:
        """Whether it counts from now on. `at` is when the broker stored it."""
        if not offer.whole or "root" not in offer.signers or offer.site != SITE or offer.revision < 1:
            return False
        if self.standing is not None:
            before = self.standing.offer
            if offer.digest == before.digest:
                return False
            is_next = before.revision < offer.revision <= before.revision + 1_000
            if not is_next or offer.previous != before.digest:
                return False
        if not offer.starts <= at < offer.ends:
            return False
        self.standing = Standing(offer)
        return True
