"""A revoked key says nothing from its day on, and what it said before stays said."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest

from plantops.events.base import SourceName, to_nanoseconds
from plantops.events.envelope import Message
from plantops.events.sources import SourceUp
from plantops.flow.signing import Signer
from plantops.policy.document import Policy, Revoked
from plantops.policy.in_force import InForce
from plantops.policy.keyring import Keyring
from plantops.runtime.errors import PolicyRejected, TrustError
from support.plant_samples import NOW, POLICY, ROOT, SITE, key, signed, verified, with_policy

OLD, NEW = key("plc"), key("plc-new")
HOUR = timedelta(hours=1)
STOLEN_AT = NOW - 2 * HOUR
UP = SourceUp(source=SourceName("plc"), epoch=1)


def replaced(*revoked: Revoked, revision: int = 4, upon: Policy = POLICY) -> Policy:
    principal = msgspec.structs.replace(POLICY.principals["adapter-plc"], keys=(NEW.public.to_base64(),))
    return with_policy(
        revision=revision,
        previous=verified(upon).digest,
        principals={**POLICY.principals, "adapter-plc": principal},
        revoked=revoked,
    )


STOLEN = Revoked(key=OLD.public.to_base64(), since=STOLEN_AT, reason="laptop lost")
REVOKING = replaced(STOLEN)


def message() -> Message:
    return Signer("adapter-plc", OLD).message(f"source.{SITE}.plc.up", UP, id="1", time=NOW)


def says(trust: InForce, at: datetime, *, ever: bool = False) -> bool:
    ring = trust.ever if ever else trust
    try:
        return ring.at(to_nanoseconds(at)).believe("source.up", 1, message()) == "adapter-plc"
    except TrustError:
        return False


@pytest.fixture
def trust() -> InForce:
    in_force = InForce(ROOT, SITE)
    in_force.offer(signed(POLICY), NOW - 6 * HOUR)
    in_force.offer(signed(REVOKING), NOW)
    return in_force


@pytest.mark.parametrize("ever", [False, True])
def test_counts_until_its_day_and_not_after_however_late_that_became_known(
    trust: InForce, ever: bool
) -> None:
    assert says(trust, STOLEN_AT - HOUR, ever=ever)
    assert not says(trust, STOLEN_AT, ever=ever)
    assert not says(trust, STOLEN_AT + HOUR, ever=ever), "the policy of that hour still listed it"
    assert not says(trust, NOW + HOUR, ever=ever)


def test_a_replaced_key_that_is_not_revoked_counts_until_it_was_replaced() -> None:
    in_force = InForce(ROOT, SITE)
    in_force.offer(signed(POLICY), NOW - 6 * HOUR)
    in_force.offer(signed(replaced()), NOW)
    assert says(in_force, NOW - HOUR)
    assert not says(in_force, NOW + HOUR)


def test_no_keyring_holds_a_revoked_key_whoever_lists_it() -> None:
    listing = with_policy(revoked=(STOLEN,))
    assert Keyring(listing).owner(OLD.keyid) is None
    assert Keyring(POLICY).owner(OLD.keyid) == "adapter-plc"


def test_a_policy_that_lists_a_revoked_key_is_refused() -> None:
    with pytest.raises(PolicyRejected, match="lists it for 'adapter-plc'"):
        InForce(ROOT, SITE).offer(signed(with_policy(revoked=(STOLEN,))), NOW)


def test_a_later_policy_cannot_forget_a_revocation(trust: InForce) -> None:
    forgetful = replaced(revision=5, upon=REVOKING)
    with pytest.raises(PolicyRejected, match="no longer revokes"):
        trust.offer(signed(forgetful), NOW)
    back = with_policy(revision=5, previous=verified(REVOKING).digest)
    with pytest.raises(PolicyRejected, match="no longer revokes"):
        trust.offer(signed(back), NOW)
    assert trust.offer(signed(replaced(STOLEN, revision=5, upon=REVOKING)), NOW)
