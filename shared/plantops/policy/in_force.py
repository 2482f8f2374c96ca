"""The policy that counts in this process now, and the keys that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from plantops.events.envelope import Message
from plantops.policy.document import TrustRoot
from plantops.policy.keyring import Keyring
from plantops.policy.verify import Verified, verify_policy
from plantops.runtime.errors import UntrustedKey


@dataclass
class InForce:
    """Follows the policies that are offered; nothing is believed before the first one that holds.

    `position` is how far the stream POLICY was looked through (`flow.policies`).
    """

    root: TrustRoot
    site: str
    verified: Verified | None = None
    position: int = 0
    _keyring: Keyring | None = field(default=None, repr=False)

    def offer(self, envelope: bytes, now: datetime) -> bool:
        """Take over a newer policy; False when it is the one in force. Raises: PolicyRejected, and then
        the one in force stays."""
        before = self.verified
        if before is not None and before.envelope == envelope:
            return False
        verified = verify_policy(envelope, self.root, site=self.site, now=now, in_force=before)
        if verified is before:
            return False
        self._keyring = Keyring(verified.policy)
        self.verified = verified
        return True

    @property
    def keyring(self) -> Keyring:
        """Raises: UntrustedKey while no policy is in force."""
        if self._keyring is None:
            raise UntrustedKey("no verified policy is in force here, so nobody is trusted: publish one")
        return self._keyring

    def believe(self, event_type: str, version: int, message: Message) -> str:
        """As `flow.trust.Trust` says. Raises: TrustError."""
        return self.keyring.believe(event_type, version, message)
