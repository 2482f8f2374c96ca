"""Keys change, and are revoked: what was said before counts, what is said after does not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from plantops.audit.offline import verify_folder
from plantops.audit.trust import AuditTrust, load_trust, save_trust, trust_of
from plantops.flow.checkpoints import key_name, open_checkpoint
from plantops.ledger import checkpoint, tiles
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import FindingKind
from plantops.ledger.keys import SigningKey
from plantops.ledger.record import WriterChain, seal_record
from plantops.ledger.tree import Tree, leaf_hash
from plantops.ledger.verify import Report
from plantops.policy.document import Policy, Revoked
from plantops.runtime.errors import UntrustedKey
from support.audit_log import SITE
from support.audit_site import AT, audit_policy
from support.plant_samples import key

ORIGIN = f"{key_name(SITE)}/{'0' * 32}"
SINCE = datetime(2026, 3, 2, tzinfo=UTC)


def log(*parts: tuple[str, int]) -> list[bytes]:
    """Records of the gate, `count` by each key in turn."""
    chain, entries = WriterChain(SITE, "gate"), []
    for signer, count in parts:
        for number in range(count):
            stored = seal_record(chain.next("done", "c1", b"%d" % number, AT), key(signer))
            chain = chain.after(stored)
            entries.append(stored)
    return entries


def exported(folder: Path, entries: list[bytes], notary: SigningKey | None = None) -> Path:
    root = Tree(map(leaf_hash, entries)).root()
    found = Checkpoint(ORIGIN, len(entries), root)
    tiles.write_tiles(folder, entries, checkpoint.sign(found, notary or key("notary"), name=key_name(SITE)))
    return folder


def with_keys(policy: Policy, name: str, *signers: str) -> Policy:
    keys = tuple(key(signer).public.to_base64() for signer in signers)
    principal = msgspec.structs.replace(policy.principals[name], keys=keys)
    return msgspec.structs.replace(policy, principals={**policy.principals, name: principal})


def revoking(policy: Policy, signer: str, audit_size: int) -> Policy:
    revoked = Revoked(key=key(signer).public.to_base64(), since=SINCE, audit_size=audit_size)
    return msgspec.structs.replace(policy, revoked=(*policy.revoked, revoked))


def verified(folder: Path, *policies: Policy) -> Report:
    return verify_folder(folder, trust_of(*policies))


def test_a_log_across_a_change_of_a_writers_key_verifies_with_both_policies(tmp_path: Path) -> None:
    folder = exported(tmp_path, log(("gate", 10), ("new", 10)))
    old, both, new = (
        with_keys(audit_policy(), "gate", *keys) for keys in (("gate",), ("gate", "new"), ("new",))
    )
    assert verified(folder, both).ok
    assert verified(folder, old, new).ok
    report = verified(folder, new)
    assert report.first_bad_index == 0
    assert {one.kind for one in report.findings} >= {FindingKind.UNTRUSTED_SIGNER}


@pytest.mark.parametrize("audit_size", [0, 1, 10, 15, 20, 21])
def test_a_revoked_key_counts_up_to_the_size_that_the_policy_names(tmp_path: Path, audit_size: int) -> None:
    folder = exported(tmp_path, log(("gate", 20)))
    report = verified(folder, revoking(audit_policy(), "gate", audit_size))
    revoked = [one.index for one in report.findings if one.kind == FindingKind.REVOKED_SIGNER]
    assert revoked == list(range(audit_size, 20))
    assert report.ok is (audit_size >= 20)


def test_a_revoked_key_that_a_later_policy_no_longer_lists_still_counts_for_what_was_before(
    tmp_path: Path,
) -> None:
    folder = exported(tmp_path, log(("gate", 10), ("new", 10)))
    old, new = with_keys(audit_policy(), "gate", "gate"), with_keys(audit_policy(), "gate", "new")
    assert verified(folder, old, revoking(new, "gate", 10)).ok
    assert verified(folder, old, revoking(new, "gate", 9)).first_bad_index == 9


def test_a_stolen_key_cannot_go_on_behind_its_revocation_even_with_a_good_chain(tmp_path: Path) -> None:
    folder = exported(tmp_path, log(("gate", 10), ("new", 5), ("gate", 5)))
    both = with_keys(audit_policy(), "gate", "gate", "new")
    report = verified(folder, revoking(both, "gate", 10))
    assert [one.index for one in report.findings if one.kind == FindingKind.REVOKED_SIGNER] == [
        *range(15, 20)
    ]


def test_the_lowest_size_counts_when_policies_differ(tmp_path: Path) -> None:
    folder = exported(tmp_path, log(("gate", 20)))
    policies = [revoking(audit_policy(), "gate", size) for size in (12, 8, 15)]
    assert verified(folder, *policies).first_bad_index == 8


def test_an_old_notarys_checkpoints_count_as_long_as_a_policy_of_then_is_known(tmp_path: Path) -> None:
    folder = exported(tmp_path, log(("gate", 20)))
    new = with_keys(audit_policy(), "notary", "new")
    assert verified(folder, audit_policy(), new).ok
    assert [one.kind for one in verified(folder, new).findings] == [FindingKind.CHECKPOINT_INVALID]


@pytest.mark.parametrize(("audit_size", "is_good"), [(19, False), (20, True), (21, True)])
def test_a_revoked_notarys_checkpoint_counts_up_to_the_size_that_is_named(
    tmp_path: Path, audit_size: int, is_good: bool
) -> None:
    folder = exported(tmp_path, log(("gate", 20)))
    new = revoking(with_keys(audit_policy(), "notary", "new"), "notary", audit_size)
    report = verified(folder, audit_policy(), new)
    assert report.ok is is_good
    if not is_good:
        assert "revoked" in report.findings[0].detail


def test_a_revoked_key_signs_no_checkpoint_beside_a_good_one(tmp_path: Path) -> None:
    trust = trust_of(revoking(with_keys(audit_policy(), "notary", "notary", "new"), "notary", 5))
    entries = log(("gate", 9))
    found = Checkpoint(ORIGIN, 9, Tree(map(leaf_hash, entries)).root())
    stolen = checkpoint.sign(found, key("notary"), name=key_name(SITE))
    with pytest.raises(UntrustedKey, match="revoked"):
        open_checkpoint(stolen, SITE, trust.notary_keys)
    both = checkpoint.cosign(stolen, key_name(SITE), key("new"))
    assert open_checkpoint(both, SITE, trust.notary_keys) == found


def test_a_trust_file_keeps_revocations_and_witnesses(tmp_path: Path) -> None:
    trust = trust_of(revoking(audit_policy(), "gate", 7))
    save_trust(trust, tmp_path / "trust.json")
    assert load_trust(tmp_path / "trust.json") == trust
    assert trust.witness_policy.witnesses
    old = AuditTrust(site=trust.site, notaries=trust.notaries, writers=trust.writers)
    (tmp_path / "old.json").write_bytes(
        msgspec.json.encode({"site": old.site, "notaries": old.notaries, "writers": old.writers})
    )
    assert load_trust(tmp_path / "old.json") == old
