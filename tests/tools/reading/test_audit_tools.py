"""Proofs, tiles and records out of a real audit stream; what was tampered with is told, never proved."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from plantops.audit.export import export
from plantops.audit.prove import check_proof
from plantops.audit.trust import trust_of
from plantops.flow.checkpoints import open_checkpoint
from plantops.ledger import proof, tiles
from plantops.ledger.tiles import parse_path
from plantops.policy.audit_keys import notary_keys, witness_name
from plantops.tools.contract import Call, ToolError
from plantops.tools.reading.audit_index import LeafIndex, index_of
from plantops.tools.reading.audit_proofs import AUDIT_CHECKPOINT, AUDIT_PROOF, AUDIT_TILE, ProofGiven
from plantops.tools.reading.audit_records import AUDIT_RECORDS
from support.audit_log import SITE
from support.audit_site import AuditSite, Writers, audit_policy, edited, in_force
from support.tool_calls import all_pages, memory_call, places, told, with_rows

POLICY = audit_policy()
TRUST = trust_of(POLICY)


@pytest.fixture
def site(tmp_path: Path) -> AuditSite:
    made = AuditSite(tmp_path)
    made.writers = Writers("command-{}")
    return made


def call_of(site: AuditSite) -> Call:
    return memory_call(site.broker, policy=POLICY, in_force=in_force(POLICY))


def records_of(command: int, size: int) -> list[int]:
    """Each command of this log has five records, one behind the other."""
    return list(range(5 * command, min(5 * command + 5, size)))


async def proofs_of(call: Call, command: int) -> list[ProofGiven]:
    pages = await all_pages(AUDIT_PROOF, call, command=f"command-{command}")
    return [one for page in pages for one in page.result.proofs]


def holds(one: ProofGiven, size: int) -> None:
    """As whoever has nothing of ours but the notary's key and the writers' would look at it."""
    checked = check_proof(proof.decode(one.proof.encode()), TRUST)
    assert checked.ok, checked.findings
    assert (checked.index, checked.size) == (one.index, size)
    assert checked.record is not None
    assert (checked.record.writer, checked.record.kind) == (one.writer, one.kind)


@pytest.mark.parametrize("size", [7, 256, 300, 800])
async def test_each_record_of_a_command_is_proved_to_whoever_has_the_notarys_key(
    site: AuditSite, size: int
) -> None:
    await site.signed(size)
    call = call_of(site)
    for command in {0, 51, (size - 1) // 5}:
        if 5 * command < size:
            proofs = await proofs_of(call, command)
            assert [one.index for one in proofs] == records_of(command, size)
            for one in proofs:
                holds(one, size)


async def test_proofs_come_in_pages_that_lose_and_repeat_nothing(site: AuditSite) -> None:
    await site.signed(300)
    pages = await all_pages(AUDIT_PROOF, with_rows(call_of(site), 2), command="command-30")
    assert [len(page.result.proofs) for page in pages] == [2, 2, 1]
    assert [place for page in pages for place in places(page)] == [
        ("audit", str(at), "AUDIT", at + 1) for at in records_of(30, 300)
    ]


async def test_what_only_looks_like_a_record_of_the_command_is_not_told(
    site: AuditSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plantops.tools.reading.audit_index._mark", len)
    await site.signed(30)
    assert [one.index for one in await proofs_of(call_of(site), 3)] == records_of(3, 30)


async def test_what_no_checkpoint_covers_yet_is_not_proved(site: AuditSite) -> None:
    await site.signed(10)
    site.write(10)
    call = call_of(site)
    with pytest.raises(ToolError, match="covers 10: wait") as refused:
        await told(AUDIT_PROOF, call, command="command-2")
    assert refused.value.code == "not_found"
    await site.signed(0)
    for one in await proofs_of(call, 2):
        holds(one, 20)


async def test_the_index_reads_each_record_once_and_goes_on_where_it_was(site: AuditSite) -> None:
    await site.signed(600)
    call = call_of(site)
    index = index_of(call.audit)
    assert index_of(call.audit) is index
    with pytest.raises(ToolError, match=r"\d+ of 600 audit records are read .* ask again") as slow:
        await index.reach(600, -1.0)
    assert slow.value.code == "unavailable"
    await index.reach(600, 10.0)
    read = list(index.roots)
    await site.signed(100)
    assert [one.index for one in await proofs_of(call, 139)] == records_of(139, 700)
    assert index.size == 700
    assert index.roots[: len(read)] == read


async def test_a_log_that_was_made_anew_is_read_anew(site: AuditSite, tmp_path: Path) -> None:
    await site.signed(300)
    index = LeafIndex(site.bus)
    await index.reach(300, 10.0)
    before = index.roots
    other = AuditSite(tmp_path / "other")
    other.write(300)
    site.replace(list(other.log.values()), created="another one")
    await index.reach(300, 10.0)
    assert index.roots != before
    assert index.size == 300


@pytest.mark.parametrize("place", [2, 270])
async def test_a_record_that_was_changed_makes_nothing_provable(site: AuditSite, place: int) -> None:
    await site.signed(300)
    site.replace(edited(site, place))
    with pytest.raises(ToolError, match="not the one that the notary signed") as refused:
        await proofs_of(call_of(site), 0 if place == 270 else 54)
    assert refused.value.code == "not_trusted"


async def test_a_record_that_is_gone_is_told(site: AuditSite) -> None:
    await site.signed(300)
    del site.log[100]
    with pytest.raises(ToolError, match="record 99 of AUDIT is gone") as refused:
        await proofs_of(call_of(site), 0)
    assert refused.value.code == "not_kept"


async def test_the_checkpoint_is_the_notarys_exact_note_and_names_who_cosigned(site: AuditSite) -> None:
    await site.signed(20)
    await site.witness().step()
    page = await told(AUDIT_CHECKPOINT, call_of(site))
    found = open_checkpoint(page.result.note.encode(), SITE, notary_keys(POLICY))
    assert (found.size, found.root.hex(), found.origin) == (20, page.result.root, page.result.origin)
    assert page.result.cosigned_by == (witness_name(SITE, "witness"),)
    assert page.result.refused == ""
    assert places(page) == [("audit", "checkpoint", "CHECKPOINTS", len(site.events()))]


async def test_a_notary_that_refuses_is_told_with_the_last_note(site: AuditSite) -> None:
    notary = await site.signed(20)
    site.replace(list(site.log.values())[:10])
    await notary.step()
    assert notary.refusal
    page = await told(AUDIT_CHECKPOINT, call_of(site))
    assert page.result.size == 20
    assert page.result.refused.startswith("shrunk")


async def test_before_the_first_checkpoint_nothing_is_proved(site: AuditSite) -> None:
    site.write(5)
    for tool, arguments in ((AUDIT_CHECKPOINT, {}), (AUDIT_PROOF, {"command": "command-0"})):
        with pytest.raises(ToolError, match="nothing of site 'demo' was signed yet"):
            await told(tool, call_of(site), **arguments)


async def test_a_note_of_a_notary_that_the_policy_does_not_know_is_not_believed(site: AuditSite) -> None:
    await site.signed(20)
    other = audit_policy("gate")
    other.principals.pop("notary")
    call = memory_call(site.broker, policy=other, in_force=in_force(other))
    with pytest.raises(ToolError) as refused:
        await told(AUDIT_CHECKPOINT, call)
    assert refused.value.code == "not_trusted"


@pytest.mark.parametrize("size", [5, 256, 600])
async def test_tiles_are_those_of_an_export(site: AuditSite, tmp_path: Path, size: int) -> None:
    await site.signed(size)
    folder = tmp_path / "export"
    await export(site.bus, folder, site=SITE)
    call = call_of(site)
    for path in tiles.expected_paths(size):
        pages = await all_pages(AUDIT_TILE, with_rows(call, 100), path=path)
        hashes = [base64.b64decode(one) for page in pages for one in page.result.hashes]
        bundled = [base64.b64decode(one) for page in pages for one in page.result.entries]
        written = b"".join(hashes) + b"".join(len(one).to_bytes(2, "big") + one for one in bundled)
        assert written == (folder / path).read_bytes(), path
        assert parse_path(path).path == path


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("tile/0/001", "not_found"),
        ("tile/0/000", "not_found"),
        ("tile/1/000.p/1", "not_found"),
        ("tile/entries/000.p/31", "not_found"),
        ("tile/0/../x", "bad_arguments"),
        ("checkpoint", "bad_arguments"),
    ],
)
async def test_what_is_no_tile_of_the_signed_log_is_refused(site: AuditSite, path: str, code: str) -> None:
    await site.signed(30)
    with pytest.raises(ToolError) as refused:
        await told(AUDIT_TILE, call_of(site), path=path)
    assert refused.value.code == code


async def test_records_come_the_newest_first_and_believed(site: AuditSite) -> None:
    site.write(300)
    pages = await all_pages(AUDIT_RECORDS, with_rows(call_of(site), 120))
    records = [one for page in pages for one in page.result.records]
    assert [one.index for one in records] == list(range(299, -1, -1))
    assert {one.writer for one in records} == {"gate", "press", "agent"}
    assert all(one.problem == "" and one.body is None for one in records)
    assert pages[0].result.total == 300
    assert places(pages[0])[0] == ("audit", "299", "AUDIT", 300)


async def test_records_of_a_writer_about_a_command_with_their_bodies(site: AuditSite) -> None:
    site.write(300)
    page = await told(AUDIT_RECORDS, call_of(site), writer="press", command="command-3", bodies=True)
    assert [(one.index, one.body) for one in page.result.records] == [
        (19, {"number": 19}),
        (16, {"number": 16}),
    ]
    assert page.next == ""


async def test_records_of_one_writer_come_once_each_over_many_pages(site: AuditSite) -> None:
    site.write(700)
    pages = await all_pages(AUDIT_RECORDS, with_rows(call_of(site), 90), writer="press")
    found = [one.index for page in pages for one in page.result.records]
    assert found == [at for at in range(699, -1, -1) if at % 5 in (1, 4)]


async def test_a_record_that_cannot_be_believed_is_shown_with_the_reason(site: AuditSite) -> None:
    site.write(10)
    site.replace(edited(site, 4))
    records = (await told(AUDIT_RECORDS, call_of(site))).result.records
    bad = [one for one in records if one.problem]
    assert [(one.index, one.kind, one.command) for one in bad] == [(4, "", "")]
    about = await told(AUDIT_RECORDS, call_of(site), command="command-0")
    assert [one.index for one in about.result.records] == [3, 2, 1, 0]
