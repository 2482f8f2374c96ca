"""Every attack on the log is found and named, online and from an export."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from plantops.audit.export import export
from plantops.audit.offline import verify_folder
from plantops.audit.records import read_records
from plantops.audit.report import render_export, render_online
from plantops.audit.trust import AuditTrust, load_trust, save_trust, trust_of
from plantops.audit.verify import OnlineReport, verify_online
from plantops.events.base import from_nanoseconds
from plantops.flow.bus import Stored
from plantops.flow.memory import EPOCH_NS
from plantops.ledger.finding import FindingKind
from plantops.runtime.errors import IntegrityError, SettingsError
from support.audit_log import SITE
from support.audit_site import AuditSite, audit_policy, edited, flip

NOW = from_nanoseconds(EPOCH_NS)
TRUST = trust_of(audit_policy())


@pytest.fixture
def site(tmp_path: Path) -> AuditSite:
    return AuditSite(tmp_path)


async def verified(site: AuditSite, remembered: Path | None = None) -> OnlineReport:
    return await verify_online(site.bus, TRUST, remembered=remembered, now=NOW)


async def log_of_three_checkpoints(site: AuditSite) -> None:
    process = await site.signed(20)
    for _ in range(2):
        site.write(20)
        process._signed_at = 0
        await process.step()


async def test_a_sound_log_is_sound(site: AuditSite) -> None:
    await log_of_three_checkpoints(site)
    site.write(3)
    told: list[tuple[int, int]] = []
    report = await verify_online(site.bus, TRUST, now=NOW, progress=lambda *at: told.append(at))
    assert report.findings == ()
    assert (report.size, report.covered, report.uncovered, report.checkpoints) == (63, 60, 3, 3)
    assert told[-1] == (63, 63)


Attack = Callable[[list[Stored]], list[Stored]]


def dropped(log: list[Stored]) -> list[Stored]:
    return [*log[:30], *log[31:]]


def inserted_copy(log: list[Stored]) -> list[Stored]:
    return [*log[:30], log[10], *log[30:]]


def inserted_forgery(log: list[Stored]) -> list[Stored]:
    return [*log[:30], replace(log[30], data=b"{}"), *log[30:]]


def reordered(log: list[Stored]) -> list[Stored]:
    return [*log[:30], log[31], log[30], *log[32:]]


def truncated(log: list[Stored]) -> list[Stored]:
    return log[:45]


def emptied(log: list[Stored]) -> list[Stored]:
    return []


@pytest.mark.parametrize(
    ("attack", "kinds", "index"),
    [
        (dropped, {FindingKind.SEQUENCE_GAP, FindingKind.ROOT_MISMATCH}, 31),  # the writer's next one
        (inserted_copy, {FindingKind.SEQUENCE_REPEAT, FindingKind.ROOT_MISMATCH}, 30),
        (inserted_forgery, {FindingKind.MALFORMED, FindingKind.ROOT_MISMATCH}, 30),
        (reordered, {FindingKind.ROOT_MISMATCH}, None),
        (truncated, {FindingKind.SHRUNK}, 45),
        (emptied, {FindingKind.SHRUNK}, 0),
    ],
)
async def test_an_attack_by_who_owns_the_broker_is_named(
    site: AuditSite, attack: Attack, kinds: set[FindingKind], index: int | None
) -> None:
    await log_of_three_checkpoints(site)
    site.replace(attack(list(site.log.values())))
    report = await verified(site)
    assert kinds <= {finding.kind for finding in report.findings}
    assert report.first_bad is not None
    if index is not None:
        assert index in {finding.index for finding in report.findings}


async def test_a_swap_is_bounded_by_the_checkpoints_around_it(site: AuditSite) -> None:
    await log_of_three_checkpoints(site)
    log = list(site.log.values())
    # Of two writers, so that each is still in order in its own chain.
    at = next(n for n in range(25, 38) if log[n].subject != log[n + 1].subject)
    log[at], log[at + 1] = log[at + 1], log[at]
    site.replace(log)
    report = await verified(site)
    (finding,) = report.findings
    assert finding.detail == "the records from 20 to 39 are not those that were signed"


async def test_any_flipped_bit_names_its_record(site: AuditSite) -> None:
    await log_of_three_checkpoints(site)
    whole = list(site.log.values())
    chance = random.Random(3)
    for _ in range(60):
        index = chance.randrange(60)
        at = chance.randrange(len(whole[index].data))
        site.replace(whole)
        site.replace(edited(site, index, lambda data, at=at: flip(data, at)))  # type: ignore[misc]
        report = await verified(site)
        assert report.first_bad is not None
        assert report.first_bad.index == index
        assert FindingKind.ROOT_MISMATCH in {finding.kind for finding in report.findings}


async def test_a_hole_in_the_stream_is_named(site: AuditSite) -> None:
    await log_of_three_checkpoints(site)
    site.broker.stream("AUDIT").drop([31])
    report = await verified(site)
    assert (FindingKind.STREAM_GAP, 31) in {(f.kind, f.index) for f in report.findings}
    assert FindingKind.ROOT_MISMATCH in {finding.kind for finding in report.findings}


async def test_a_forged_checkpoint_is_named(site: AuditSite) -> None:
    await log_of_three_checkpoints(site)
    checkpoints = site.broker.stream("CHECKPOINTS").messages
    checkpoints[2] = replace(checkpoints[2], data=checkpoints[2].data.replace(b"\\n40\\n", b"\\n41\\n"))
    report = await verified(site)
    assert [finding.kind for finding in report.findings] == [FindingKind.CHECKPOINT_INVALID]


async def test_what_was_seen_before_shows_a_log_made_anew(site: AuditSite, tmp_path: Path) -> None:
    seen = tmp_path / "seen" / "demo"
    await log_of_three_checkpoints(site)
    assert (await verified(site, seen)).remembered is None
    other = AuditSite(tmp_path / "other")
    await other.signed(80)
    report = await verified(other, seen)
    assert [finding.kind for finding in report.findings] == [FindingKind.OTHER_LOG]
    assert (await verified(site, seen)).findings == ()


async def test_what_was_seen_before_shows_a_log_that_shrank_with_its_checkpoints(
    site: AuditSite, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    await log_of_three_checkpoints(site)
    await verified(site, seen)
    site.replace(list(site.log.values())[:40])
    checkpoints = site.broker.stream("CHECKPOINTS")
    checkpoints.drop([3])
    checkpoints.last = 2
    report = await verified(site, seen)
    assert report.remembered == 60
    assert [finding.kind for finding in report.findings] == [FindingKind.SHRUNK]


async def test_no_checkpoint_left_is_a_finding_for_who_saw_one(site: AuditSite, tmp_path: Path) -> None:
    await log_of_three_checkpoints(site)
    await verified(site, tmp_path / "seen")
    site.broker.add_stream("CHECKPOINTS", ["checkpoint.*"])
    report = await verified(site, tmp_path / "seen")
    assert [finding.kind for finding in report.findings] == [FindingKind.CHECKPOINT_MISSING]


async def test_records_that_wait_too_long_for_a_checkpoint_are_a_finding(site: AuditSite) -> None:
    await log_of_three_checkpoints(site)
    site.write(5)
    report = await verify_online(site.bus, TRUST, now=NOW + timedelta(seconds=61))
    assert [(f.kind, f.index) for f in report.findings] == [(FindingKind.UNCOVERED, 60)]


async def test_a_refusal_of_the_notary_is_shown(site: AuditSite) -> None:
    process = await site.signed(20)
    site.replace(list(site.log.values())[:10])
    await process.step()
    report = await verified(site)
    assert any("refused" in finding.detail for finding in report.findings)


async def test_an_export_verifies_and_ends_with_the_last_checkpoint(site: AuditSite, tmp_path: Path) -> None:
    await site.signed(700)
    site.write(5)
    written = await export(site.bus, tmp_path / "out", site=SITE)
    assert written.size == 700
    report = verify_folder(tmp_path / "out", TRUST)
    assert (report.findings, report.size, report.checked) == ((), 700, 700)
    with pytest.raises(SettingsError, match="not empty"):
        await export(site.bus, tmp_path / "out", site=SITE)


async def test_one_flipped_byte_in_an_export_names_its_record(site: AuditSite, tmp_path: Path) -> None:
    await site.signed(300)
    await export(site.bus, tmp_path / "out", site=SITE)
    bundle = tmp_path / "out" / "tile" / "entries" / "000"
    whole = bundle.read_bytes()
    at = whole.index(site.log[124].data) + 50
    bundle.write_bytes(flip(whole, at))
    report = verify_folder(tmp_path / "out", TRUST)
    assert report.first_bad_index == 123


async def test_a_damaged_log_can_be_exported_as_evidence(site: AuditSite, tmp_path: Path) -> None:
    await site.signed(300)
    site.broker.stream("AUDIT").drop([50])
    await export(site.bus, tmp_path / "out", site=SITE)
    report = verify_folder(tmp_path / "out", TRUST)
    assert report.first_bad_index == 49


async def test_an_export_is_not_believed_upon_its_own_keys(site: AuditSite, tmp_path: Path) -> None:
    await site.signed(10)
    await export(site.bus, tmp_path / "out", site=SITE)
    other = AuditTrust(site=SITE, notaries=TRUST.writers["gate"], writers=TRUST.writers)
    report = verify_folder(tmp_path / "out", other)
    assert [finding.kind for finding in report.findings] == [FindingKind.CHECKPOINT_INVALID]


async def test_nothing_is_exported_before_the_first_checkpoint(site: AuditSite, tmp_path: Path) -> None:
    site.write(3)
    with pytest.raises(IntegrityError, match="nothing of site"):
        await export(site.bus, tmp_path / "out", site=SITE)


def test_a_trust_file_comes_back_and_must_name_somebody(tmp_path: Path) -> None:
    save_trust(TRUST, tmp_path / "trust.json")
    assert load_trust(tmp_path / "trust.json") == TRUST
    save_trust(AuditTrust(site=SITE, notaries=(), writers={}), tmp_path / "empty.json")
    for name, words in (("empty.json", "no notary"), ("none.json", "cannot be read")):
        with pytest.raises(SettingsError, match=words):
            load_trust(tmp_path / name)


async def test_shows_the_newest_records_of_whom_and_what_is_asked(site: AuditSite) -> None:
    site.write(2500)
    shown = await read_records(site.bus, site=SITE, trusted=TRUST.trusted, last=3)
    assert [record.index for record in shown] == [2497, 2498, 2499]
    agents = await read_records(site.bus, site=SITE, trusted=TRUST.trusted, last=450, writer="agent")
    assert {record.writer for record in agents} == {"agent"}
    assert [record.index for record in agents] == [n for n in range(2500) if n % 5 == 3][-450:]
    about = await read_records(site.bus, site=SITE, trusted=TRUST.trusted, command="c7")
    assert [record.index for record in about] == [35, 36, 37, 38, 39]


async def test_shows_a_bad_record_with_the_reason(site: AuditSite) -> None:
    site.write(3)
    site.replace(edited(site, 1))
    (shown,) = [one for one in await read_records(site.bus, site=SITE, trusted=TRUST.trusted) if one.finding]
    assert (shown.index, shown.record) == (1, None)


async def test_a_verdict_names_the_first_bad_record_and_its_writer(site: AuditSite, tmp_path: Path) -> None:
    await site.signed(30)
    good = render_online(await verified(site))
    assert (good.ok, good.verdict) == (True, "All 30 records are as they were signed.")
    await export(site.bus, tmp_path / "out", site=SITE)
    assert render_export(verify_folder(tmp_path / "out", TRUST)).ok
    site.replace(edited(site, 7, lambda data: flip(data, len(data) - 20)))
    bad = render_online(await verified(site))
    assert not bad.ok
    assert bad.verdict.startswith(f"Record 7 of {site.log[8].subject.split('.')[2]} is not as it should be")
