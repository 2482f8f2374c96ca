"""A policy counts only under the root's signatures, here, now, and as the next one."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from plantops.events.base import Digest, encode_json
from plantops.ledger import dsse
from plantops.policy.document import (
    POLICY_TYPE,
    ArgumentLimit,
    Compare,
    Condition,
    Every,
    Negate,
    OperationRule,
    Permissive,
    Policy,
    Principal,
    Role,
    RootRole,
    TrustRoot,
    policy_digest,
)
from plantops.policy.verify import Verified, load_root, save_root, status, verify_policy
from plantops.runtime.errors import PolicyRejected, SettingsError
from support.plant_samples import COOL, NOW, POLICY, ROOT, ROOT_KEYS, SITE, key, signed, verified, with_policy

SECOND = timedelta(seconds=1)
IN_FORCE = verified()
NEXT = with_policy(revision=4, previous=IN_FORCE.digest)


def accept(envelope: bytes, *, in_force: Verified | None = None, root: TrustRoot = ROOT) -> Verified:
    return verify_policy(envelope, root, site=SITE, now=NOW, in_force=in_force)


def refuse(envelope: bytes, why: str, *, in_force: Verified | None = None, root: TrustRoot = ROOT) -> None:
    with pytest.raises(PolicyRejected, match=why):
        accept(envelope, in_force=in_force, root=root)


def test_accepts_a_first_policy_and_its_follower() -> None:
    first = accept(signed(POLICY))
    assert (first.policy, first.digest) == (POLICY, policy_digest(encode_json(POLICY)))
    assert accept(signed(NEXT), in_force=first).policy == NEXT


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (2, 0), (0, 1, 2)])
def test_any_two_of_three_suffice(pair: tuple[int, ...]) -> None:
    assert accept(signed(POLICY, *(ROOT_KEYS[number] for number in pair))).policy == POLICY


def test_fewer_than_two_different_root_keys_do_not() -> None:
    refuse(signed(POLICY, ROOT_KEYS[0]), "1 of 2 signatures")
    refuse(signed(POLICY, ROOT_KEYS[0], ROOT_KEYS[0]), "1 of 2 signatures")
    refuse(signed(POLICY, ROOT_KEYS[0], key("mallory")), "1 of 2 signatures")
    refuse(signed(POLICY, key("mallory"), key("gate")), "none is trusted")


def test_refuses_stripped_swapped_and_damaged_signatures() -> None:
    envelope = dsse.decode(signed(POLICY))
    refuse(dsse.encode(msgspec.structs.replace(envelope, signatures=())), "no signature")
    other = dsse.decode(signed(NEXT))
    refuse(dsse.encode(msgspec.structs.replace(envelope, payload=other.payload)), "does not fit")
    refuse(signed(POLICY, *ROOT_KEYS, kind="application/json"), "was expected")
    for data in (b"", b"{}", b"\xff\xfe", encode_json(POLICY)):
        refuse(data, "not believed")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"audience": "other"}, "meant for site 'other'"),
        ({"not_before": NOW + SECOND}, "not valid before"),
        ({"expires": NOW}, "expired at"),
        ({"schema": "plantops.policy/2"}, "schema"),
    ],
)
def test_refuses_another_place_time_or_schema(changed: dict[str, object], why: str) -> None:
    refuse(signed(with_policy(**changed)), why)


def test_refuses_a_rule_that_this_version_does_not_know() -> None:
    riddle = {"id": "x", "applies": ["*"], "require": {"type": "maybe"}}
    unknown: dict[str, object] = {"overrides": [], "permissives": [riddle]}
    for name, value in unknown.items():
        payload = encode_json({**msgspec.to_builtins(POLICY), name: value})
        refuse(dsse.encode(dsse.seal(POLICY_TYPE, payload, *ROOT_KEYS)), "cannot be read")
    deep = b"[" * 100_000
    refuse(dsse.encode(dsse.seal(POLICY_TYPE, deep, *ROOT_KEYS)), "cannot be read")


def test_a_policy_is_never_rolled_back_forked_or_replaced_under_its_number() -> None:
    latest = accept(signed(NEXT), in_force=IN_FORCE)
    refuse(signed(POLICY), "older than revision 4", in_force=latest)
    refuse(signed(msgspec.structs.replace(NEXT, moc="other")), "another document", in_force=latest)
    fork = with_policy(revision=5, previous=IN_FORCE.digest)
    refuse(signed(fork), "write it upon the policy in force", in_force=latest)
    refuse(signed(with_policy(revision=9, previous=Digest(""))), "follows nothing", in_force=latest)


def test_the_same_policy_again_changes_nothing_even_when_it_has_expired() -> None:
    again = signed(POLICY, *ROOT_KEYS)
    assert accept(again, in_force=IN_FORCE) is IN_FORCE
    later = POLICY.expires + SECOND
    assert verify_policy(again, ROOT, site=SITE, now=later, in_force=IN_FORCE) is IN_FORCE
    with pytest.raises(PolicyRejected, match="expired"):
        verify_policy(again, ROOT, site=SITE, now=later, in_force=None)


def test_tells_the_state_at_the_very_borders() -> None:
    assert status(IN_FORCE, POLICY.not_before - SECOND) == "not_yet"
    assert status(IN_FORCE, POLICY.not_before) == "in_force"
    assert status(IN_FORCE, POLICY.expires - SECOND) == "in_force"
    assert status(IN_FORCE, POLICY.expires) == "expired"


def people(**changed: Principal) -> Policy:
    return with_policy(principals={**POLICY.principals, **changed})


def rule(pattern: str = "pump.Start", **changed: object) -> Policy:
    return with_policy(operations={pattern: msgspec.structs.replace(OperationRule(), **changed)})


def need(condition: Condition, **changed: object) -> Policy:
    permissive = msgspec.structs.replace(Permissive(id="x", applies=("*",), require=condition), **changed)
    return with_policy(permissives=(permissive,))


def deep(depth: int) -> Condition:
    condition: Condition = COOL.require
    for _ in range(depth):
        condition = Negate(of=condition)
    return condition


def compare(**changed: object) -> Policy:
    return need(msgspec.structs.replace(COOL.require, **changed))


UNSOUND: list[tuple[Policy, str]] = [
    (with_policy(id=""), "no id"),
    (with_policy(revision=0), "positive revision"),
    (with_policy(not_before=NOW.replace(tzinfo=None)), "without a zone"),
    (with_policy(not_before=POLICY.expires), "expires before it begins"),
    (with_policy(max_age_seconds=0.0), "max_age_seconds"),
    (with_policy(clock_skew_seconds=-1.0), "clock_skew_seconds"),
    (with_policy(roles={**POLICY.roles, "guest": Role(operations=("Stop",))}), "'Stop'"),
    (people(**{"a.b": Principal(kind="process")}), "'a.b'"),
    (people(carol=Principal(kind="person")), "without `person`"),
    (people(carol=Principal(kind="agent", person=f" {POLICY.principals['alice'].person.upper()}")), "alike"),
    (people(carol=Principal(kind="agent", keys=("AAAA",))), "no Ed25519 public key"),
    (people(carol=Principal(kind="agent", logins=("",))), "empty login"),
    (people(carol=Principal(kind="agent", logins=("UA",))), "to alice and carol"),
    (people(carol=Principal(kind="agent", keys=POLICY.principals["alice"].keys)), "to alice and carol"),
    (people(carol=Principal(kind="agent", roles=("king",))), "not defined"),
    (people(carol=Principal(kind="agent", roles=("gate",))), "only a process"),
    (rule(approval_roles=("operator",)), "only persons approve"),
    (rule(approval_roles=("king",)), "not defined"),
    (rule(approvals=-1), "-1 approvals"),
    (rule(approvals=9), "9 approvals: give 1 to 8"),
    (rule(approval_seconds=0.0), "approval_seconds"),
    (rule(execute_seconds=-1.0), "execute_seconds"),
    (rule("Start"), "'Start'"),
    (rule("*"), r"'\*'"),
    (rule("*.*"), r"'\*\.\*'"),
    (rule("pump.*", limits={"RPM": ArgumentLimit(high=1)}), "name the operation"),
    (rule(limits={"RPM": ArgumentLimit(low=2, high=1)}), "low above high"),
    (rule(limits={"RPM": ArgumentLimit(max_change=-1)}), "negative max_change"),
    (with_policy(permissives=(COOL, COOL)), "2 permissives"),
    (need(COOL.require, id=""), "each its own"),
    (need(COOL.require, applies=()), "applies to nothing"),
    (need(COOL.require, applies=("pump",)), "'pump'"),
    (need(Every(of=())), "joins nothing"),
    (need(Negate(of=Every(of=()))), "joins nothing"),
    (need(deep(40)), "nests deeper"),
    (compare(property="temperature"), "asset.property"),
    (compare(value="95"), "only numbers have an order"),
    (compare(value=True), "only numbers have an order"),
    (compare(max_age_seconds=0.0), "max_age_seconds"),
]


@pytest.mark.parametrize(("policy", "why"), UNSOUND, ids=[why for _policy, why in UNSOUND])
def test_refuses_a_policy_that_makes_no_sense(policy: Policy, why: str) -> None:
    refuse(signed(policy), why)


def test_a_bound_that_is_no_number_cannot_even_be_signed_into_a_policy() -> None:
    assert isinstance(COOL.require, Compare)
    payload = encode_json(compare(value=math.nan))
    refuse(dsse.encode(dsse.seal(POLICY_TYPE, payload, *ROOT_KEYS)), "cannot be read")


def test_a_wrong_root_makes_no_policy() -> None:
    refuse(signed(POLICY), "trust root is of site", root=msgspec.structs.replace(ROOT, site="other"))
    keys = ROOT.policy.keys
    for role in (
        RootRole(keys=keys, threshold=0),
        RootRole(keys=keys, threshold=4),
        RootRole(keys=("bad",), threshold=1),
        RootRole(keys=keys[:1] * 2, threshold=1),
    ):
        refuse(signed(POLICY), "not believed", root=msgspec.structs.replace(ROOT, policy=role))


def test_the_root_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "root.json"
    save_root(ROOT, path)
    assert load_root(path) == ROOT
    assert [each.name for each in tmp_path.iterdir()] == ["root.json"]


def test_a_wrong_root_file_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "root.json"
    with pytest.raises(SettingsError, match="does not exist"):
        load_root(path)
    for text in ("", "{}", '{"site":"demo","version":1,"policy":{"keys":[],"threshold":0},"more":1}'):
        path.write_text(text)
        with pytest.raises(SettingsError, match="no trust root"):
            load_root(path)
    with pytest.raises(SettingsError, match="asks for 1 of 0"):
        save_root(TrustRoot(site=SITE, version=1, policy=RootRole(keys=(), threshold=1)), path)
