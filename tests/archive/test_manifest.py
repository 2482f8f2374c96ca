"""Manifests: each file named once, each manifest audited once, and whatever is changed is named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from plantops.archive.batch import Batch
from plantops.archive.hour_file import sweep, write_hour
from plantops.archive.hours import closed, record, record_marks
from plantops.archive.manifest import (
    KIND,
    Told,
    adopt,
    audited,
    manifest_path,
    mark,
    next_manifest,
    put,
    read_manifest,
)
from plantops.archive.manifest_check import verify_manifests
from plantops.archive.store import Store
from plantops.runtime.errors import BrokerUnavailable, IntegrityError
from support.archived_plant import DAWN, HOUR, MINUTE, ArchivedPlant


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[ArchivedPlant]:
    made = ArchivedPlant.make(tmp_path)
    yield made
    made.store.close()


@dataclass
class Audit:
    """What AUDIT holds; it may be away."""

    records: list[tuple[str, bytes]] = field(default_factory=list)
    is_away: bool = False

    async def append(self, kind: str, body: bytes) -> None:
        if self.is_away:
            raise BrokerUnavailable("away", stream="AUDIT")
        self.records.append((kind, body))

    @property
    def told(self) -> list[tuple[int, str]]:
        decoded = [msgspec.json.decode(body, type=Told) for _kind, body in self.records]
        return [(one.number, one.digest) for one in decoded]

    def projected(self, plant: ArchivedPlant) -> None:
        """The archive has caught up with AUDIT."""
        plant.store.connection.execute("DELETE FROM audit")
        batch = Batch()
        for position, (kind, body) in enumerate(self.records):
            batch.add("audit", (position, "archive", position + 1, DAWN, kind, "", "", "", body.decode()))
        plant.commit(batch)


def write_files(plant: ArchivedPlant, hour: int) -> None:
    """An hour of a source, in files."""
    plant.frame("plc1", DAWN + hour * HOUR + MINUTE)
    plant.tick("TAGS", DAWN + (hour + 1) * HOUR + 10 * MINUTE)
    cursor = plant.store.cursor()
    plan = closed(cursor)
    written = [write_hour(cursor, plant.parquet, "demo", part) for part in plan.parts]
    assert written
    with plant.store.transaction() as connection:
        record(connection, written)
        record_marks(connection, plan)


async def audit_next(plant: ArchivedPlant, audit: Audit) -> str:
    """One manifest, the whole way; its digest."""
    stored = next_manifest(plant.store.cursor(), plant.parquet, "demo")
    assert stored is not None
    await put(plant.store.cursor(), stored, audit.append)
    with plant.store.transaction() as connection:
        mark(connection, stored)
    return stored.digest


def found(plant: ArchivedPlant, audit: Audit | None = None) -> list[tuple[str, str]]:
    told = None if audit is None else audit.told
    return [(one.kind, one.path) for one in verify_manifests(plant.parquet, told)]


async def three(plant: ArchivedPlant, audit: Audit) -> None:
    for hour in range(3):
        write_files(plant, hour)
        await audit_next(plant, audit)


async def test_a_chain_of_manifests_names_every_file_and_verifies(plant: ArchivedPlant) -> None:
    audit = Audit()
    await three(plant, audit)
    made = [read_manifest(plant.parquet, number) for number in (1, 2, 3)]
    assert [one.manifest.previous for one in made] == ["", made[0].digest, made[1].digest]
    assert audit.told == [(one.manifest.number, one.digest) for one in made]
    for one in made:
        path = manifest_path(plant.parquet, one.manifest.number)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == one.digest
    on_disk = {str(path.relative_to(plant.parquet)) for path in plant.parquet.rglob("*.parquet")}
    assert {file.path for one in made for file in one.manifest.files} == on_disk
    assert found(plant, audit) == []
    assert next_manifest(plant.store.cursor(), plant.parquet, "demo") is None


async def test_files_are_marked_only_when_the_audit_has_their_manifest(plant: ArchivedPlant) -> None:
    audit = Audit(is_away=True)
    write_files(plant, 0)
    with pytest.raises(BrokerUnavailable):
        await audit_next(plant, audit)
    unmarked = "SELECT count(*) FROM parquet_file WHERE manifest = ''"
    assert plant.store.connection.execute(unmarked).fetchone() == (3,)
    write_files(plant, 1)
    with pytest.raises(BrokerUnavailable):
        await audit_next(plant, audit)
    audit.is_away = False
    await audit_next(plant, audit)
    assert plant.store.connection.execute(unmarked).fetchone() == (2,)
    await audit_next(plant, audit)
    assert plant.store.connection.execute(unmarked).fetchone() == (0,)
    assert [number for number, _digest in audit.told] == [1, 2]
    assert found(plant, audit) == []


async def test_a_crash_between_audit_and_mark_audits_nothing_twice(plant: ArchivedPlant) -> None:
    audit = Audit()
    write_files(plant, 0)
    stored = next_manifest(plant.store.cursor(), plant.parquet, "demo")
    assert stored is not None
    await put(plant.store.cursor(), stored, audit.append)
    audit.projected(plant)
    assert [told.digest for told in audited(plant.store.cursor())] == [stored.digest]
    assert await audit_next(plant, audit) == stored.digest
    assert len(audit.records) == 1
    assert next_manifest(plant.store.cursor(), plant.parquet, "demo") is None


async def test_another_content_under_an_audited_number_stops(plant: ArchivedPlant) -> None:
    audit = Audit()
    write_files(plant, 0)
    body = msgspec.json.encode(Told(number=1, digest="f" * 64, previous="", files=1, rows=1))
    audit.records.append((KIND, body))
    audit.projected(plant)
    with pytest.raises(IntegrityError, match="another manifest 1"):
        await audit_next(plant, audit)
    assert len(audit.records) == 1
    assert ("forked", "manifests/00000001.json") in found(plant, audit)


async def test_a_number_is_not_used_again_when_its_file_is_gone(plant: ArchivedPlant) -> None:
    audit = Audit()
    await three(plant, audit)
    manifest_path(plant.parquet, 3).unlink()
    write_files(plant, 3)
    await audit_next(plant, audit)
    assert [number for number, _digest in audit.told] == [1, 2, 3, 4]
    assert ("missing", "manifests/00000003.json") in found(plant, audit)
    assert read_manifest(plant.parquet, 4).manifest.previous == audit.told[2][1]


async def test_changed_missing_and_extra_files_are_named(plant: ArchivedPlant) -> None:
    audit = Audit()
    await three(plant, audit)
    changed, missing, *_rest = sorted(plant.parquet.glob("sample/**/*.parquet"))
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    missing.unlink()
    extra = plant.parquet / "sample" / "extra.parquet"
    extra.write_bytes(b"")
    names = [str(path.relative_to(plant.parquet)) for path in (changed, missing, extra)]
    assert found(plant, audit) == list(zip(("changed", "missing", "extra"), names, strict=True))


async def test_a_manifest_that_the_audit_does_not_know_is_named(plant: ArchivedPlant) -> None:
    audit = Audit()
    await three(plant, audit)
    audit.records.pop()
    assert found(plant, audit) == [("unaudited", "manifests/00000003.json")]
    assert found(plant) == []


async def test_a_changed_manifest_breaks_the_chain_and_is_not_what_was_audited(plant: ArchivedPlant) -> None:
    audit = Audit()
    await three(plant, audit)
    path = manifest_path(plant.parquet, 2)
    path.write_bytes(path.read_bytes().replace(b'"rows": 1,', b'"rows": 2,'))
    assert found(plant, audit) == [
        ("forked", "manifests/00000002.json"),
        ("broken_chain", "manifests/00000003.json"),
    ]
    path.write_bytes(b"{")
    assert ("damaged", "manifests/00000002.json") in found(plant, audit)


async def test_progress_counts_the_bytes_that_were_read(plant: ArchivedPlant) -> None:
    await three(plant, Audit())
    told: list[tuple[int, int]] = []
    assert not list(
        verify_manifests(plant.parquet, None, progress=lambda done, all_: told.append((done, all_)))
    )
    total = sum(path.stat().st_size for path in plant.parquet.rglob("*.parquet"))
    assert told[-1] == (total, total)


async def test_a_live_file_made_anew_takes_up_the_files_and_writes_none_again(plant: ArchivedPlant) -> None:
    audit = Audit()
    await three(plant, audit)
    plant.store.close()
    (plant.folder / "live.duckdb").unlink()
    plant.store = Store.open(plant.folder / "live.duckdb", "demo")
    with plant.store.transaction() as connection:
        assert adopt(connection, plant.parquet) == 7
    with plant.store.transaction() as connection:
        assert adopt(connection, plant.parquet) == 0
    assert sweep(plant.store.cursor(), plant.parquet) == []
    plant.book.__init__({}, ())  # type: ignore[misc] # the same numbers as before
    plant.sequences.clear()
    for hour in range(3):
        plant.frame("plc1", DAWN + hour * HOUR + MINUTE)
        plant.tick("TAGS", DAWN + (hour + 1) * HOUR + 10 * MINUTE)
    assert closed(plant.store.cursor()).parts == ()
    audit.projected(plant)
    await audit_next(plant, audit)
    assert [number for number, _digest in audit.told] == [1, 2, 3]
    write_files(plant, 3)
    await audit_next(plant, audit)
    assert [number for number, _digest in audit.told] == [1, 2, 3, 4]
    assert found(plant, audit) == []
