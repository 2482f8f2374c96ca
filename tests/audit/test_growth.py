"""A longer log costs the notary no more memory, and a writer that floods it is told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from plantops.audit.quota import Quota
from support.audit_site import AuditSite


@pytest.fixture
def site(tmp_path: Path) -> AuditSite:
    return AuditSite(tmp_path)


async def test_what_it_keeps_does_not_grow_with_the_log(site: AuditSite) -> None:
    process = await site.signed(255)
    assert process.notary is not None
    small = len(process.notary.dump())
    site.write(3000)
    process._signed_at = -1000.0
    await process.step()
    # At most one hash of 32 bytes for each doubling, and a digit here and there.
    assert len(process.notary.dump()) <= small + 32 * 4 + 32
    assert process.notary._since == []


def test_a_writer_above_its_quota_is_told_once_in_each_window() -> None:
    quota = Quota(records_per_second=2.0)
    told = [quota.take("gate", second * 1_000_000_000 // 4) for second in range(160)]
    assert [number for number, is_told in enumerate(told) if is_told] == [20, 60, 100, 140]
    calm = [quota.take("gate", second * 1_000_000_000) for second in range(100, 200)]
    assert not any(calm)
