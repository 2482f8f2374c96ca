"""A trust root follows another only by the word of both, and the file on the host is where it begins."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantops.events import encode
from plantops.events.base import Digest, SiteName, encode_json, to_nanoseconds
from plantops.events.envelope import Message
from plantops.events.operations import PolicyPublished, RootPublished
from plantops.flow.memory import MemoryBroker
from plantops.flow.policies import refresh
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.policy.document import ROOT_TYPE, Policy, RootRole, TrustRoot
from plantops.policy.in_force import InForce
from plantops.policy.keyring import Keyring
from plantops.policy.roots import (
    check_root,
    follow_root,
    load_root,
    newer_root,
    root_digest,
    save_root,
    verify_root,
)
from plantops.policy.verify import verify_policy
from plantops.runtime.errors import PolicyRejected, SettingsError
from support.plant_samples import NOW, POLICY, ROOT, ROOT_KEYS, SITE, key, signed, verified, with_policy

NEW_KEYS = tuple(key(f"new{number}") for number in range(3))


def role(*keys: SigningKey, threshold: int = 2) -> RootRole:
    return RootRole(keys=tuple(each.public.to_base64() for each in keys), threshold=threshold)


def after(standing: TrustRoot, /, **changed: object) -> TrustRoot:
    fields: dict[str, object] = {
        "version": standing.version + 1,
        "previous": root_digest(standing),
        "policy": role(*NEW_KEYS),
    }
    return msgspec.structs.replace(standing, **{**fields, **changed})


def sealed(root: TrustRoot, *keys: SigningKey, payload: bytes | None = None, kind: str = ROOT_TYPE) -> bytes:
    return dsse.encode(dsse.seal(kind, encode_json(root) if payload is None else payload, *keys))


BOTH = (*ROOT_KEYS[:2], *NEW_KEYS[:2])
SECOND = after(ROOT)
THIRD = after(SECOND, policy=role(*NEW_KEYS, ROOT_KEYS[0]))


def test_the_next_version_counts_with_the_threshold_of_both() -> None:
    assert verify_root(sealed(SECOND, *BOTH), ROOT) == (SECOND, root_digest(SECOND))


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (ROOT_KEYS, "none is trusted|0 of 2 signatures of its own"),
        (NEW_KEYS, "0 of 2 signatures of version 1"),
        ((*ROOT_KEYS[:1], *NEW_KEYS), "1 of 2 signatures of version 1"),
        ((*ROOT_KEYS, NEW_KEYS[0]), "1 of 2 signatures of its own"),
        ((ROOT_KEYS[0], ROOT_KEYS[0], *NEW_KEYS), "1 of 2 signatures of version 1"),
        ((key("mallory"), *NEW_KEYS), "0 of 2 signatures of version 1"),
    ],
)
def test_one_side_alone_changes_nothing(keys: tuple[SigningKey, ...], why: str) -> None:
    with pytest.raises(PolicyRejected, match=why):
        verify_root(sealed(SECOND, *keys), ROOT)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"version": 3}, "cannot follow version 1"),
        ({"version": 1}, "cannot follow version 1"),
        ({"site": "other"}, "is of site 'other'"),
        ({"previous": Digest("")}, "follows nothing"),
        ({"previous": Digest("0" * 64)}, "follows 000000000000"),
    ],
)
def test_refuses_what_does_not_follow(changed: dict[str, object], why: str) -> None:
    with pytest.raises(PolicyRejected, match=why):
        verify_root(sealed(after(ROOT, **changed), *BOTH), ROOT)


def test_refuses_what_is_no_root_or_not_canonical() -> None:
    pretty = msgspec.json.format(encode_json(SECOND), indent=2)
    for data, why in (
        (b"", "cannot be read"),
        (sealed(SECOND, *BOTH, payload=pretty), "canonical"),
        (sealed(SECOND, *BOTH, payload=b"{}"), "makes no sense"),
        (
            sealed(SECOND, *BOTH, payload=encode_json({**msgspec.to_builtins(SECOND), "more": 1})),
            "makes no sense",
        ),
        (sealed(SECOND, *BOTH, kind="application/json"), "not a trust root"),
        (signed(POLICY), "not a trust root"),
    ):
        with pytest.raises(PolicyRejected, match=why):
            verify_root(data, ROOT)
    stripped = msgspec.structs.replace(dsse.decode(sealed(SECOND, *BOTH)), signatures=())
    with pytest.raises(PolicyRejected, match="no signature"):
        verify_root(dsse.encode(stripped), ROOT)
    swapped = msgspec.structs.replace(
        dsse.decode(sealed(SECOND, *BOTH)),
        payload=dsse.seal(
            ROOT_TYPE, encode_json(after(ROOT, policy=role(key("mallory"), threshold=1))), *NEW_KEYS
        ).payload,
    )
    with pytest.raises(PolicyRejected, match="does not fit"):
        verify_root(dsse.encode(swapped), ROOT)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_byte_of_an_envelope_can_be_changed_to_change_the_root(data: st.DataObject) -> None:
    envelope = bytearray(sealed(SECOND, *BOTH))
    place = data.draw(st.integers(0, len(envelope) - 1))
    envelope[place] = data.draw(st.integers(0, 255))
    try:
        root, digest = verify_root(bytes(envelope), ROOT)
    except PolicyRejected:
        return
    assert (root, digest) == (SECOND, root_digest(SECOND))


def test_own_root_keys_sign_roots_where_they_are_named() -> None:
    offline = key("offline")
    pinned = msgspec.structs.replace(ROOT, root=role(offline, threshold=1))
    following = after(pinned)
    assert verify_root(sealed(following, offline), pinned)[0] == following
    with pytest.raises(PolicyRejected, match="0 of 1 signatures of version 1"):
        verify_root(sealed(following, *BOTH), pinned)


def test_is_followed_from_the_pinned_file_on_and_never_back() -> None:
    second, third = sealed(SECOND, *BOTH), sealed(THIRD, *NEW_KEYS[:2])
    assert follow_root(second, ROOT, ROOT) == SECOND
    assert follow_root(second, SECOND, ROOT) is SECOND
    assert follow_root(third, SECOND, ROOT) == THIRD
    assert follow_root(second, THIRD, THIRD) is THIRD, "history before the pinned file is skipped"
    assert follow_root(second, THIRD, SECOND) is THIRD
    with pytest.raises(PolicyRejected, match="older than version 3"):
        follow_root(second, THIRD, ROOT)
    fork = after(ROOT, policy=role(*ROOT_KEYS))
    with pytest.raises(PolicyRejected, match="forked"):
        follow_root(sealed(fork, *ROOT_KEYS), SECOND, ROOT)
    assert newer_root(ROOT, SECOND) is SECOND
    assert newer_root(THIRD, SECOND) is THIRD
    assert newer_root(ROOT, None) is ROOT


def test_policies_signed_by_removed_keys_alone_are_refused_after_a_rotation() -> None:
    in_force = InForce(ROOT, SITE)
    assert in_force.offer(signed(POLICY), NOW)
    assert in_force.offer_root(sealed(SECOND, *BOTH))
    assert in_force.verified is not None
    following = with_policy(revision=4, previous=in_force.verified.digest)
    with pytest.raises(PolicyRejected, match="none is trusted"):
        in_force.offer(signed(following, *ROOT_KEYS), NOW)
    assert in_force.verified.policy == POLICY
    assert in_force.offer(signed(following, *NEW_KEYS[1:]), NOW)
    assert in_force.verified.policy == following


def test_a_root_that_does_not_hold_leaves_the_old_one() -> None:
    in_force = InForce(ROOT, SITE)
    with pytest.raises(PolicyRejected):
        in_force.offer_root(sealed(SECOND, *NEW_KEYS))
    assert in_force.root is ROOT


@pytest.mark.parametrize("pinned", [ROOT, SECOND, THIRD])
async def test_every_process_comes_to_the_same_policy_whichever_root_it_has_pinned(pinned: TrustRoot) -> None:
    now = to_nanoseconds(NOW)
    broker = MemoryBroker(clock=lambda: now)
    broker.add_stream("POLICY", ("policy.*",))
    bus = broker.bus("process")
    first = verified()
    last = with_policy(revision=4, previous=first.digest)
    site = SiteName(SITE)

    async def put(event: PolicyPublished | RootPublished) -> None:
        await bus.publish(Message(f"policy.{SITE}", encode(event)), stream="POLICY")

    async def policy(document: Policy, *keys: SigningKey) -> None:
        envelope = signed(document, *keys).decode()
        await put(
            PolicyPublished(site=site, revision=document.revision, digest=Digest(""), envelope=envelope)
        )

    async def root(following: TrustRoot, *keys: SigningKey) -> None:
        envelope = sealed(following, *keys).decode()
        digest = root_digest(following)
        await put(RootPublished(site=site, root_version=following.version, digest=digest, envelope=envelope))

    await policy(POLICY)
    await root(SECOND, *BOTH)
    await policy(with_policy(revision=5, previous=first.digest), *ROOT_KEYS)
    await root(THIRD, *NEW_KEYS[:2])
    await policy(last, *NEW_KEYS)
    in_force = InForce(pinned, SITE)
    assert await refresh(bus, in_force)
    assert (in_force.root, in_force.verified and in_force.verified.policy) == (THIRD, last)
    await bus.close()


def test_a_process_starts_by_no_policy_that_the_keys_of_the_new_root_did_not_sign() -> None:
    """Who stole the old keys could write the whole stream anew, and end it with the true root."""
    in_force = InForce(ROOT, SITE)
    in_force.offer(signed(POLICY), NOW)
    assert in_force.rollback() == ""
    in_force.offer_root(sealed(SECOND, *BOTH))
    assert "0 of 2 signatures of trust root version 2" in in_force.rollback()
    assert not in_force.offer(signed(POLICY, *ROOT_KEYS, *NEW_KEYS), NOW), "the policy is the same"
    assert in_force.rollback() == ""


def test_a_process_starts_by_no_older_root_than_its_host_holds() -> None:
    in_force = InForce(ROOT, SITE, floor=SECOND)
    in_force.offer(signed(POLICY, *ROOT_KEYS, *NEW_KEYS), NOW)
    assert "leads to trust root version 1, here is version 2" in in_force.rollback()
    in_force.offer_root(sealed(SECOND, *BOTH))
    assert in_force.rollback() == ""


def test_what_was_said_under_a_former_root_stays_readable() -> None:
    in_force = InForce(ROOT, SITE)
    in_force.offer(signed(POLICY), NOW)
    in_force.offer_root(sealed(SECOND, *BOTH))
    following = with_policy(revision=4, previous=verified().digest, principals={})
    in_force.offer(signed(following, *NEW_KEYS), NOW + timedelta(hours=1))
    before = in_force.at(to_nanoseconds(NOW))
    assert isinstance(before, Keyring)
    assert before.principal("alice") is not None
    assert in_force.keyring.principal("alice") is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"site": "a.b"}, "one site"),
        ({"version": 0}, "count from 1"),
        ({"previous": Digest("xyz")}, "no SHA-256"),
        ({"policy": role(*ROOT_KEYS, threshold=4)}, "4 of 3"),
        ({"policy": role(*ROOT_KEYS, threshold=0)}, "0 of 3"),
        ({"policy": role(ROOT_KEYS[0], ROOT_KEYS[0])}, "twice"),
        ({"root": role(threshold=1)}, "1 of 0"),
        ({"policy": role(*(key(f"k{n}") for n in range(20)), threshold=17)}, "17 of 20"),
    ],
)
def test_an_unsound_root_is_refused_on_disk_and_on_the_wire(changed: dict[str, object], why: str) -> None:
    root = after(ROOT, **changed)
    with pytest.raises(SettingsError, match=why):
        check_root(root)
    with pytest.raises(PolicyRejected, match=why):
        verify_root(sealed(root, *BOTH), ROOT)


def test_the_digest_is_of_the_root_and_not_of_its_layout(tmp_path: Path) -> None:
    path = tmp_path / "root.json"
    save_root(SECOND, path)
    assert path.read_bytes() != encode_json(SECOND)
    assert root_digest(load_root(path)) == root_digest(SECOND)


def test_an_expired_standing_policy_does_not_hinder_a_rotation() -> None:
    in_force = InForce(ROOT, SITE)
    in_force.offer(signed(POLICY), NOW)
    in_force.offer_root(sealed(SECOND, *BOTH))
    again = verify_policy(
        signed(POLICY, *ROOT_KEYS, *NEW_KEYS),
        in_force.root,
        site=SITE,
        now=POLICY.expires + timedelta(days=1),
        in_force=in_force.verified,
    )
    assert again == in_force.verified
