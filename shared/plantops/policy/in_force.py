"""The policy that counts in this process now, and the keys that follow from it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from plantops.events.base import to_nanoseconds
from plantops.events.envelope import Message
from plantops.model.load import Plant
from plantops.policy.document import POLICY_TYPE, TrustRoot
from plantops.policy.highwater import HighWater
from plantops.policy.keyring import Keyring
from plantops.policy.roots import follow_root, signed_by
from plantops.policy.verify import Verified, verify_policy
from plantops.runtime.errors import TrustError, UntrustedKey


@dataclass
class InForce:
    """Follows the policies and trust roots that are offered; nothing is believed before the first policy
    that holds.

    `root` is the one trusted now, at first the file on the host. With `plant` a policy for it must hold its
    decision vectors. `position` is how far the stream POLICY was looked through (`flow.policies`).
    `highwater` is what this process followed before it was started, `floor` a root that it must come to.
    """

    root: TrustRoot
    site: str
    verified: Verified | None = None
    position: int = 0
    plant: Plant | None = None
    highwater: HighWater | None = None
    floor: TrustRoot | None = None
    pinned: TrustRoot = field(init=False, repr=False)
    _keyrings: list[Keyring] = field(default_factory=list, repr=False)
    _since: list[int] = field(default_factory=list, repr=False)
    _without: dict[tuple[int, frozenset[str]], Keyring] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.pinned = self.root

    def offer(self, envelope: bytes, now: datetime) -> bool:
        """Take over a newer policy; False when it is the one in force. Raises: PolicyRejected, and then
        the one in force stays."""
        before = self.verified
        if before is not None and before.envelope == envelope:
            return False
        verified = verify_policy(
            envelope, self.root, site=self.site, now=now, in_force=before, plant=self.plant
        )
        if before is not None and verified is before:
            # The same text under other signatures: a newer root's keys may be among them.
            self.verified = msgspec.structs.replace(before, envelope=envelope)
            return False
        keyring = Keyring(verified.policy)
        self._since.append(max(to_nanoseconds(now), *self._since[-1:], 0))
        self._keyrings.append(keyring)
        self._without.clear()
        self.verified = verified
        return True

    def offer_root(self, envelope: bytes) -> bool:
        """Take over the next trust root; False when it changes nothing (`roots.follow_root`).

        The policy in force stays until one follows that the new keys signed. Raises: PolicyRejected.
        """
        before = self.root
        self.root = follow_root(envelope, before, self.pinned)
        return self.root is not before

    def rollback(self) -> str:
        """Why a process that starts must not go by what it found; empty when it may, and before the first
        policy.

        The root found must not be older than `floor`, the policy must be signed by that root's keys too
        (who has stolen those of the root before could else write the stream anew), and nothing be older
        than what this process has followed.
        """
        if self.verified is None:
            return ""
        if self.floor is not None and self.root.version < self.floor.version:
            return (
                f"the stream POLICY leads to trust root version {self.root.version}, here is version"
                f" {self.floor.version}: publish it with `plantops policy root publish`"
            )
        role, signed = self.root.policy, self._signatures()
        if signed < role.threshold:
            return (
                f"policy revision {self.verified.policy.revision} has {signed} of {role.threshold} signatures"
                f" of trust root version {self.root.version}: let its holders `plantops policy cosign` it,"
                " then `plantops policy activate`"
            )
        return "" if self.highwater is None else self.highwater.rollback(self.root, self.verified)

    def _signatures(self) -> int:
        """How many of the present root's keys signed the policy in force; none where one does not fit."""
        assert self.verified is not None
        try:
            return len(signed_by(self.verified.envelope, POLICY_TYPE, self.root.policy))
        except TrustError:
            return 0

    def remember(self) -> None:
        """Raise the high-water mark to what is in force, unless that is older. Raises: StorageError."""
        found, mark = self.verified, self.highwater
        if mark is not None and found is not None and not mark.rollback(self.root, found):
            mark.raise_to(self.root, found)

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
        One that the policy in force revokes counts until its `since`, whenever that became known.
        """
        if not self._keyrings:
            return self
        index = max(bisect_right(self._since, time_ns) - 1, 0)
        return self._keyring_without(index, self._revoked_at(time_ns))

    @property
    def ever(self) -> Ever:
        """The keys of every policy so far; see `Ever`."""
        return Ever(self)

    def believe_ever(
        self, event_type: str, version: int, message: Message, time_ns: int | None = None
    ) -> str:
        """By the newest policy that believes it, without the keys that were revoked then (without a time:
        at all). Raises: TrustError as the one in force does."""
        revoked = self._revoked_at(time_ns)
        for index in reversed(range(len(self._keyrings))):
            try:
                return self._keyring_without(index, revoked).believe(event_type, version, message)
            except TrustError:
                continue
        return self.keyring.believe(event_type, version, message)

    def _revoked_at(self, time_ns: int | None) -> frozenset[str]:
        revoked = self.verified.policy.revoked if self.verified is not None else ()
        if not revoked:
            return frozenset()
        return frozenset(
            each.key for each in revoked if time_ns is None or to_nanoseconds(each.since) <= time_ns
        )

    def _keyring_without(self, index: int, revoked: frozenset[str]) -> Keyring:
        """The keys of one policy so far, without those that were revoked later."""
        keyring = self._keyrings[index]
        if not revoked:
            return keyring
        made = self._without.get((index, revoked))
        if made is None:
            made = self._without[index, revoked] = Keyring(keyring.policy, revoked)
        return made


@dataclass(frozen=True)
class Ever:
    """Believes by any policy that was ever in force here, at a broker time or (None) now.

    For a process's own stored events only: nobody else can store there, and a process whose key was
    replaced under it while it ran must be able to read what it said until then.
    """

    in_force: InForce
    time_ns: int | None = None

    def believe(self, event_type: str, version: int, message: Message) -> str:
        """Raises: TrustError."""
        return self.in_force.believe_ever(event_type, version, message, self.time_ns)

    def at(self, time_ns: int) -> Ever:
        """As of this broker time: what was said before a key was revoked stays said."""
        return Ever(self.in_force, time_ns)

    @property
    def ever(self) -> Ever:
        """Itself."""
        return self
