"""What the gate says about policies and trust roots: which it goes by from now on, which it refuses. Pure.

So that each refusal stands in COMMANDS, and by that in the AUDIT, whoever put the document on the stream.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from plantops.events.base import CommandId, Digest
from plantops.events.governance import PolicyActivated, PolicyRefused, RootRotated
from plantops.events.operations import PolicyPublished, RootPublished
from plantops.flow.processor import Output
from plantops.gate import bypasses, withdrawals
from plantops.gate.site import Site
from plantops.gate.state import GateState
from plantops.policy.document import TrustRoot
from plantops.policy.keyring import Keyring
from plantops.policy.roots import follow_root, newer_root, root_digest
from plantops.policy.verify import Verified, verify_policy
from plantops.runtime.errors import PolicyRejected

Published: TypeAlias = PolicyPublished | RootPublished

_NAME_LENGTH = 24


@dataclass(frozen=True, slots=True)
class Office:
    """Where documents are judged: the gate's place, and the root in the file on its host."""

    site: Site
    pinned: TrustRoot

    def root(self, state: GateState) -> TrustRoot:
        """The one that is trusted now."""
        return newer_root(self.pinned, state.root)

    def policy(self, state: GateState, event: PolicyPublished, at: datetime) -> Verified:
        """The policy in force after this one; the same as before when that changes nothing.

        Raises: PolicyRejected, also when not every process could go by it.
        """
        verified = verify_policy(
            event.envelope.encode(),
            self.root(state),
            site=self.site.site,
            now=at,
            in_force=state.verified,
            plant=self.site.plant,
        )
        Keyring(verified.policy)
        return verified

    def next_root(self, state: GateState, event: RootPublished) -> TrustRoot:
        """The root trusted after this one; the same as before when that changes nothing.

        Raises: PolicyRejected.
        """
        return follow_root(event.envelope.encode(), self.root(state), self.pinned)


def fold(office: Office, state: GateState, event: Published, at: datetime) -> None:
    """Go on with the last one that holds: a bad one changes nothing, whoever put it there."""
    try:
        if isinstance(event, PolicyPublished):
            state.verified = office.policy(state, event, at)
        else:
            standing, root = office.root(state), office.next_root(state, event)
            state.root = state.root if root == standing else root
    except PolicyRejected:
        return


def decide(office: Office, state: GateState, event: Published, at: datetime, sequence: int) -> list[Output]:
    """Say what comes of it; what was simulated under another policy waits for nobody any more."""
    try:
        if isinstance(event, RootPublished):
            return _rotated(office, state, event)
        return _activated(office, state, event, at)
    except PolicyRejected as error:
        return [_refused(office, event, sequence, error)]


def _activated(office: Office, state: GateState, event: PolicyPublished, at: datetime) -> list[Output]:
    site, before = office.site, state.verified
    verified = office.policy(state, event, at)
    if before is not None and verified.digest == before.digest:
        return []
    policy = verified.policy
    activated = PolicyActivated(
        site=site.site,
        command=_name(verified.digest),
        policy_id=policy.id,
        revision=policy.revision,
        digest=verified.digest,
        previous=policy.previous,
        moc=policy.moc,
    )
    return [
        site.say(activated),
        *withdrawals.outdated(site, state, verified),
        *bypasses.outlived(site, state, policy),
    ]


def _rotated(office: Office, state: GateState, event: RootPublished) -> list[Output]:
    site = office.site
    root = office.next_root(state, event)
    if root == office.root(state):
        return []
    digest = root_digest(root)
    rotated = RootRotated(site=site.site, command=_name(digest), root_version=root.version, digest=digest)
    return [site.say(rotated)]


def _refused(office: Office, event: Published, sequence: int, error: PolicyRejected) -> Output:
    """The digest is that of the payload, and of the whole text where there is none to be read."""
    site = office.site
    digest = Digest(error.digest or hashlib.sha256(event.envelope.encode()).hexdigest())
    refused = PolicyRefused(
        site=site.site,
        command=_name(digest),
        reason=error.message,
        sequence=sequence,
        digest=digest,
        revision=event.revision if isinstance(event, PolicyPublished) else event.root_version,
    )
    return site.say(refused)


def _name(digest: Digest) -> CommandId:
    return CommandId(digest[:_NAME_LENGTH])
