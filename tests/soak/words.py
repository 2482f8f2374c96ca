"""What people, agents and attackers really did, as the harness knows it: the ground of the model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from plantops.events.base import Scalar
from soak.ground import Profile


@dataclass(frozen=True)
class Ask:
    """One intent as it was sent. `by` is whose key signed it ("" for none), `login` who sent it.

    `digest` is the SHA-256 of the bytes sent; `whole` is False where the signed bytes were changed after
    signing, or are not what a signed intent must be.
    """

    command: str
    digest: str
    by: str
    login: str
    actor: str
    behalf: tuple[str, ...]
    site: str
    asset: str
    operation: str
    arguments: tuple[tuple[str, Scalar], ...]
    mode: str
    issued: datetime
    expires: datetime
    model_agrees: bool
    confirms: str = ""
    simulation: str = ""
    whole: bool = True

    @property
    def words(self) -> tuple[object, ...]:
        """What is to be done to what, with the types of the values: 1, 1.0 and true differ."""
        values = tuple((name, type(value).__name__, value) for name, value in self.arguments)
        return (self.asset, self.operation, values)

    def argument(self, name: str) -> Scalar | None:
        """The value given under a name."""
        return dict(self.arguments).get(name)


@dataclass(frozen=True)
class Vote:
    """One approval or rejection as it was sent."""

    command: str
    site: str
    person: str
    by: str
    verdict: str
    intent: str
    decision: str
    issued: datetime
    expires: datetime
    whole: bool = True


@dataclass(frozen=True)
class Offer:
    """One policy document as it was put on the stream; `digest` names its content."""

    profile: Profile
    digest: str
    site: str
    revision: int
    previous: str
    starts: datetime
    ends: datetime
    signers: frozenset[str]
    whole: bool = True


@dataclass(frozen=True)
class Seen:
    """One value as it was told at `at`: `age` None was never confirmed."""

    value: Scalar | None
    quality: int
    age: float | None
    at: datetime

    def age_at(self, moment: datetime) -> float | None:
        """How old it is then."""
        if self.age is None:
            return None
        return self.age + max(0.0, (moment - self.at).total_seconds())
