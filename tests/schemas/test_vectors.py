"""The vectors say what others have to compute: from the documents alone it comes out, here and in Node."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plantops.events.base import encode_json
from plantops.events.command_parts import Intent, Observation, Stage, command_id
from plantops.events.tags import SourceDefined
from plantops.flow.checkpoints import open_checkpoint
from plantops.ledger import dsse
from plantops.ledger.keys import VerifyKey
from plantops.ledger.record import RecordChecker
from plantops.ledger.tree import verify_consistency, verify_inclusion
from plantops.model.assets import Model
from plantops.model.load import Plant
from plantops.policy.document import TrustRoot
from plantops.policy.judge import Request, decision_digest, judge
from plantops.policy.verify import Verified, verify_policy
from plantops.runtime.errors import TrustError
from schemas.folder import SCHEMAS, read_json
from schemas.npm import run

VECTORS = SCHEMAS / "vectors"
DECISIONS = sorted(path.stem for path in (VECTORS / "decisions").glob("*.json") if path.stem != "ground")


class Case(msgspec.Struct):
    """A decision vector as a program reads it."""

    stage: Stage
    now: datetime
    signed: bool
    intent: Intent
    observation: Observation | None
    allowed: bool
    decision: dict[str, Any]
    decision_bytes: str
    decision_digest: str


def vector(name: str) -> Any:
    return read_json(VECTORS / f"{name}.json")


@pytest.fixture(scope="module")
def plant() -> Plant:
    ground = vector("decisions/ground")
    definitions = msgspec.convert(ground["definitions"], list[SourceDefined])
    return Plant.of(msgspec.convert(ground["model"], Model), definitions)


@pytest.fixture(scope="module")
def policy() -> Verified:
    ground = vector("decisions/ground")
    root = msgspec.convert(ground["root"], TrustRoot)
    case = read(DECISIONS[0])
    return verify_policy(ground["policy"].encode(), root, site=root.site, now=case.now, in_force=None)


def read(name: str) -> Case:
    return msgspec.json.decode((VECTORS / "decisions" / f"{name}.json").read_bytes(), type=Case)


@pytest.mark.parametrize("name", DECISIONS)
def test_policy_model_intent_and_observation_give_the_decision(
    name: str, plant: Plant, policy: Verified
) -> None:
    case = read(name)
    intent = case.intent
    request = Request(
        command=command_id(intent.actor, intent.key),
        asset=intent.asset,
        operation=intent.operation,
        arguments=intent.arguments,
        actor=intent.actor,
        on_behalf_of=intent.on_behalf_of,
        signed=case.signed,
        mode=intent.mode,
        issued_at=intent.issued_at,
        expires_at=intent.expires_at,
        model=intent.model,
        confirms=intent.confirms,
    )
    decision = judge(policy, plant, request, case.observation, case.now, stage=case.stage)
    assert encode_json(decision).decode() == case.decision_bytes
    assert (decision.allowed, decision_digest(decision)) == (case.allowed, case.decision_digest)
    assert msgspec.json.decode(case.decision_bytes) == case.decision


def test_the_ground_of_the_decisions_has_the_digests_that_it_says(plant: Plant, policy: Verified) -> None:
    ground = vector("decisions/ground")
    assert (plant.digest, policy.digest) == (ground["model_digest"], ground["policy_digest"])
    assert policy.policy.model == plant.digest


def test_decisions_allow_and_deny_for_each_kind_of_verdict() -> None:
    cases = [read(name) for name in DECISIONS]
    verdicts = {finding["verdict"] for case in cases for finding in case.decision["findings"]}
    assert verdicts == {"true", "false", "unknown"}
    assert {case.allowed for case in cases} == {True, False}


def test_the_first_eight_entries_give_the_root_that_everybody_knows() -> None:
    # The reference root of the Certificate Transparency implementations.
    known = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert vector("tree")["roots"][8] == known


def test_the_example_of_the_dsse_specification_is_encoded_as_it_says() -> None:
    # protocol.md, "Test vectors": the type is the same, and so is the payload.
    case = next(each for each in vector("dsse")["cases"] if each["name"] == "plain")
    assert dsse.pae(case["payload_type"], b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_proofs_hold_for_their_roots_and_for_no_others() -> None:
    tree = vector("tree")
    leaves, roots = ([bytes.fromhex(each) for each in tree[name]] for name in ("leaf_hashes", "roots"))
    for case in tree["inclusion"]:
        index, size, proof = case["index"], case["size"], [bytes.fromhex(each) for each in case["proof"]]
        assert verify_inclusion(leaves[index], index, size, roots[size], proof)
        assert not verify_inclusion(leaves[index], index, size, roots[size - 1], proof)
    for case in tree["consistency"]:
        first, second, proof = case["first"], case["second"], [bytes.fromhex(each) for each in case["proof"]]
        assert verify_consistency(first, roots[first], second, roots[second], proof)
        assert not verify_consistency(first, roots[first - 1], second, roots[second], proof)


@pytest.mark.parametrize("number", range(6))
def test_an_envelope_that_must_be_refused_is_refused(number: int) -> None:
    vectors = vector("dsse")
    case = vectors["refused"][number]
    key = VerifyKey.from_base64(vectors["key"]["public"])
    with pytest.raises(TrustError):
        dsse.open_envelope(
            dsse.decode(case["envelope"].encode()),
            expected_type=case["expected_type"],
            trusted={key.keyid: key},
        )


def test_a_checkpoint_is_taken_or_refused_as_it_says() -> None:
    vectors = vector("checkpoint")
    key = VerifyKey.from_base64(vectors["key"]["public"])
    for case in vectors["cases"]:
        found = open_checkpoint(case["note"].encode(), "demo", [key])
        assert (found.size, found.root.hex(), found.origin) == (case["size"], case["root"], vectors["origin"])
    assert open_checkpoint(vectors["cosigned"].encode(), "demo", [key]).size == vectors["cases"][-1]["size"]
    for refused in vectors["refused"].values():
        with pytest.raises(TrustError):
            open_checkpoint(refused.encode(), "demo", [key])


def test_the_audit_holds_and_its_large_body_became_a_digest() -> None:
    vectors = vector("audit")
    keys = {each["name"]: VerifyKey.from_base64(each["public"]) for each in vectors["keys"]}
    checker = RecordChecker({name: {key.keyid: key} for name, key in keys.items()})
    stored = [(each["writer"], each["stored"].encode()) for each in vectors["records"]]
    assert [finding for index, one in enumerate(stored) for finding in checker.check(index, *one)] == []
    last = read_body(stored[-1][1])
    assert last["is_body_digest"]
    assert last["body"].keys() == {"sha256", "bytes"}


def read_body(stored: bytes) -> Any:
    return msgspec.json.decode(dsse.decode(stored).body())


def test_node_computes_the_same() -> None:
    told = run(VECTORS, [Path(__file__).with_name("node") / "vectors.mjs", VECTORS])
    assert told.stderr == ""
    *differences, count = told.stdout.splitlines()
    assert differences == []
    assert int(count.removesuffix(" checked")) > 300


def test_node_notices_a_wrong_vector(tmp_path: Path) -> None:
    for path in VECTORS.rglob("*.json"):
        place = tmp_path / path.relative_to(VECTORS)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(path.read_bytes())
    changed = vector("tree")
    changed["inclusion"][20]["proof"][0] = "00" * 32
    (tmp_path / "tree.json").write_bytes(msgspec.json.encode(changed))
    told = run(tmp_path, [Path(__file__).with_name("node") / "vectors.mjs", tmp_path])
    case = changed["inclusion"][20]
    assert told.stdout.startswith(f"inclusion of {case['index']} in {case['size']}: ")
