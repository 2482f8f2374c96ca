"""A site starts with a policy that has run out, since the way to safety must be open; it never signs one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from plantops.deployment.initialise import initialise
from plantops.deployment.policies import (
    moment_for,
    read_document,
    read_envelope,
    sign_policy,
    verify_envelope,
    write_policy,
)
from plantops.deployment.site import Site
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.policy.document import POLICY_TYPE
from plantops.policy.verify import status
from plantops.runtime.errors import PolicyRejected


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return initialise(tmp_path_factory.mktemp("site") / "demo").site


def expired(site: Site) -> bytes:
    policy, _payload = read_document(site.folder)
    past = datetime.now(UTC) - timedelta(days=2)
    old = msgspec.structs.replace(policy, not_before=past, expires=past + timedelta(days=1))
    return dsse.encode(
        dsse.seal(POLICY_TYPE, msgspec.json.encode(old), SigningKey.load(site.folder.root_key))
    )


def test_an_expired_policy_verifies_and_says_so(site: Site) -> None:
    verified = verify_envelope(site.folder, expired(site))
    assert status(verified, datetime.now(UTC)) == "expired"


def test_an_expired_policy_is_not_signed(site: Site) -> None:
    policy, payload = read_document(site.folder)
    before = read_envelope(site.folder)
    past = datetime.now(UTC) - timedelta(days=2)
    write_policy(
        site.folder, msgspec.structs.replace(policy, not_before=past, expires=past + timedelta(days=1))
    )
    with pytest.raises(PolicyRejected, match="expired"):
        sign_policy(site.folder, [SigningKey.load(site.folder.root_key)])
    assert read_envelope(site.folder) == before
    site.folder.policy_document.write_bytes(payload)


def test_a_stranger_signs_nothing_that_counts(site: Site) -> None:
    _policy, payload = read_document(site.folder)
    forged = dsse.encode(dsse.seal(POLICY_TYPE, payload, SigningKey.generate()))
    with pytest.raises(PolicyRejected):
        verify_envelope(site.folder, forged)


def test_rubbish_is_left_to_the_verification(site: Site) -> None:
    now = datetime.now(UTC)
    assert moment_for(b"{}", now) == now
    with pytest.raises(PolicyRejected):
        verify_envelope(site.folder, b"{}")


def test_keys_are_private_and_each_process_has_its_own_folder(site: Site) -> None:
    files: list[Path] = [path for path in site.folder.root.rglob("*.key") if path.is_file()]
    files += [path for path in site.folder.root.rglob("*.nk") if path.is_file()]
    assert len(files) > 20
    assert {path.stat().st_mode & 0o077 for path in files} == {0}
