"""The policy that counts in this process now, and the keys that follow from it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime

from plantops.events.base import to_nanoseconds
from plantops.events.envelope import Message
from plantops.policy.document import TrustRoot
from plantops.policy.keyring import Keyring
from plantops.policy.verify import Verified, verify_policy
from plantops.runtime.errors import TrustError, UntrustedKey


@dataclass
class InForce:
    """Follows the policies that are offered; nothing is believed before the first one that holds.

    `position` is how far the stream POLICY was looked through (`flow.policies`).
    """

    root: TrustRoot
    site: str
    verified: Verified | None = None
    position: int = 0
    _keyrings: list[Keyring] = field(default_factory=list, repr=False)
    _since: list[int] = field(default_factory=list, repr=False)

    def offer(self, envelope: bytes, now: datetime) -> bool:
        """Take over a newer policy; False when it is the one in force. Raises: PolicyRejected, and then
        the one in force stays."""
        before = self.verified
        if before is not None and before.envelope == envelope:
            return False
        verified = verify_policy(envelope, self.root, site=self.site, now=now, in_force=before)
        if verified is before:
            return False
        keyring = Keyring(verified.policy)
        self._since.append(max(to_nanoseconds(now), *self._since[-1:], 0))
        self._keyrings.append(keyring)
        self.verified = verified
        return True

    @property
    def keyring(self) -> Keyring:
        """Raises: UntrustedKey while no policy is in force."""
        if not self._keyrings:
            raise UntrustedKey("no verified policy is in force here, so nobody is trusted: publish one")
        return self._keyrings[-1]

    def believe(self, event_type: str, version: int, message: Message) -> str:
        """As `flow.trust.Trust` says. Raises: TrustError."""
        return self.keyring.believe(event_type, version, message)

    def at(self, time_ns: int) -> Keyring | InForce:
        """The keys that counted at this broker time; before the first policy, those of the first.

        So the log stays readable when a key is replaced, and a key that was taken away says nothing new.
        """
        if not self._keyrings:
            return self
        return self._keyrings[max(bisect_right(self._since, time_ns) - 1, 0)]

    @property
    def ever(self) -> Ever:
        """The keys of every policy so far; see `Ever`."""
        return Ever(self)

    def believe_ever(self, event_type: str, version: int, message: Message) -> str:
        """By the newest policy that believes it. Raises: TrustError as the one in force does."""
        for keyring in reversed(self._keyrings):
            try:
                return keyring.believe(event_type, version, message)
            except TrustError:
                continue
        return self.keyring.believe(event_type, version, message)


@dataclass(frozen=True)
class Ever:
    """Believes by any policy that was ever in force here.

    For a process's own stored events only: nobody else can store there, and a process whose key was
    replaced under it while it ran must be able to read what it said until then.
    """

    in_force: InForce

    def believe(self, event_type: str, version: int, message: Message) -> str:
        """Raises: TrustError."""
        return self.in_force.believe_ever(event_type, version, message)

    def at(self, time_ns: int) -> Ever:
        """Itself."""
        return self

    @property
    def ever(self) -> Ever:
        """Itself."""
        return self
