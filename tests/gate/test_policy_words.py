"""What the gate says about policies and trust roots, so that each refusal stands in the log."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from plantops.events.base import Digest, SiteName, encode_json
from plantops.events.commands import CommandPermitted
from plantops.events.governance import PolicyActivated, PolicyRefused, RootRotated
from plantops.events.operations import PolicyPublished, RootPublished
from plantops.gate.core import Gate
from plantops.ledger import dsse
from plantops.policy.document import ROOT_TYPE, Policy, RootRole, TrustRoot, Vector, policy_digest
from plantops.policy.roots import root_digest
from support.gate_samples import PLANT, POLICY, ROOT, SITE, VALVE, Story, after, envelope
from support.plant_samples import key


def digest_of(policy: Policy) -> Digest:
    return policy_digest(msgspec.json.encode(policy))


def publish_text(story: Story, text: str, revision: int = 2) -> None:
    event = PolicyPublished(site=SITE, revision=revision, digest=Digest("whatever"), envelope=text)
    story.tell("POLICY", f"policy.{SITE}", event)


def refused(story: Story, text: str) -> PolicyRefused:
    event = story.only(PolicyRefused)
    assert text in event.reason, event.reason
    assert event.command == event.digest[:24]
    assert story.state.verified is not None
    assert story.state.verified.policy == POLICY
    return event


def test_says_which_policy_it_goes_by() -> None:
    story = Story(policy=None)
    story.publish(POLICY)
    first = story.only(PolicyActivated)
    assert (first.policy_id, first.revision, first.digest) == (POLICY.id, 1, digest_of(POLICY))
    assert first.command == first.digest[:24]
    second = story.publish(after(POLICY, moc="MOC-7"))
    event = story.only(PolicyActivated)
    assert (event.revision, event.previous, event.moc) == (2, digest_of(POLICY), "MOC-7")
    assert event.digest == digest_of(second)


def test_the_same_policy_again_is_no_news() -> None:
    story = Story()
    story.publish(POLICY)
    assert story.out == []


NEXT = after(POLICY)


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("another document than the revision 1 in force", msgspec.structs.replace(POLICY, moc="other")),
        ("follows", msgspec.structs.replace(NEXT, previous=Digest("0" * 64))),
        ("is meant for site", msgspec.structs.replace(NEXT, audience="elsewhere")),
        (
            "is not valid before",
            msgspec.structs.replace(NEXT, not_before=POLICY.expires - timedelta(hours=1)),
        ),
        ("expired at", msgspec.structs.replace(NEXT, expires=POLICY.not_before + timedelta(hours=1))),
        (
            "does not decide as its vector",
            msgspec.structs.replace(
                NEXT,
                vectors=(
                    Vector(id="v", asset="valve-001", operation="Mark", actor="mallory", expect="allow"),
                ),
            ),
        ),
    ],
    ids=["same revision", "another predecessor", "audience", "not yet", "freeze", "vector"],
)
def test_what_does_not_hold_is_refused_by_its_digest(text: str, offered: Policy) -> None:
    story = Story()
    story.publish(offered)
    event = refused(story, text)
    assert (event.digest, event.revision, event.sequence) == (digest_of(offered), offered.revision, 2)


def test_a_rollback_is_refused() -> None:
    story = Story()
    second = story.publish(NEXT)
    story.publish(POLICY)
    event = story.only(PolicyRefused)
    assert "older than revision 2" in event.reason
    assert (event.digest, event.revision) == (digest_of(POLICY), 1)
    assert story.state.verified is not None
    assert story.state.verified.policy == second


def test_a_stripped_signature_a_strangers_and_none_at_all_are_refused() -> None:
    story = Story()
    whole = msgspec.json.decode(envelope(NEXT))
    publish_text(story, msgspec.json.encode({**whole, "signatures": []}).decode())
    refused(story, "not believed")
    story.publish(NEXT, signer="mallory")
    refused(story, "not believed")
    publish_text(story, "no envelope at all")
    refused(story, "not believed")
    publish_text(story, "")
    refused(story, "not believed")


def test_a_bad_policy_stops_nothing() -> None:
    story = Story()
    publish_text(story, "{")
    story.ask("Mark", asset=VALVE)
    story.only(CommandPermitted)


NEW_KEY = RootRole(keys=(key("next root").public.to_base64(),), threshold=1)
SECOND = TrustRoot(site=SITE, version=2, policy=NEW_KEY, previous=root_digest(ROOT))


def rotate(story: Story, root: TrustRoot, *signers: str) -> None:
    text = dsse.encode(dsse.seal(ROOT_TYPE, encode_json(root), *(key(name) for name in signers))).decode()
    event = RootPublished(site=SITE, root_version=root.version, digest=root_digest(root), envelope=text)
    story.tell("POLICY", f"policy.{SITE}", event)


def test_a_root_that_old_and_new_have_signed_is_followed_and_told() -> None:
    story = Story()
    rotate(story, SECOND, "root", "next root")
    event = story.only(RootRotated)
    assert (event.root_version, event.digest) == (2, root_digest(SECOND))
    story.publish(NEXT, signer="root")
    refused(story, "not believed")
    story.publish(NEXT, signer="next root")
    story.only(PolicyActivated)
    rotate(story, SECOND, "root", "next root")
    assert story.out == []


@pytest.mark.parametrize(
    ("root", "signers", "text"),
    [
        (SECOND, ("root",), "0 of 1 signatures of its own"),
        (SECOND, ("next root",), "0 of 1 signatures of version 1"),
        (msgspec.structs.replace(SECOND, version=3), ("root", "next root"), "cannot follow version 1"),
        (msgspec.structs.replace(SECOND, previous=Digest("0" * 64)), ("root", "next root"), "follows 000000"),
        (msgspec.structs.replace(SECOND, site=SiteName("other")), ("root", "next root"), "is of site"),
        (msgspec.structs.replace(SECOND, version=1), ("root", "next root"), "somebody forked it"),
    ],
)
def test_a_root_that_does_not_follow_is_refused(root: TrustRoot, signers: tuple[str, ...], text: str) -> None:
    story = Story()
    rotate(story, root, *signers)
    event = refused(story, text)
    assert (event.digest, event.revision) == (root_digest(root), root.version)
    story.publish(NEXT)
    story.only(PolicyActivated)


def test_a_restarted_gate_trusts_the_root_that_it_followed() -> None:
    story = Story()
    rotate(story, SECOND, "root", "next root")
    story.state = story.gate.load(story.gate.dump(story.state))
    story.publish(NEXT, signer="root")
    refused(story, "not believed")
    story.publish(NEXT, signer="next root")
    story.only(PolicyActivated)


def test_a_newer_file_on_the_host_wins_over_what_was_followed() -> None:
    story = Story()
    story.gate = Gate(SITE, PLANT, SECOND)
    story.state = story.gate.load(story.gate.dump(story.state))
    story.publish(NEXT, signer="root")
    refused(story, "not believed")
    story.publish(NEXT, signer="next root")
    story.only(PolicyActivated)
