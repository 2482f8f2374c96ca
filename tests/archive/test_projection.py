"""Nothing that a message holds stops the archive: what fits no row is kept beside them, with its place."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from plantops.archive.audit_rows import audit_row
from plantops.archive.batch import Batch, Row
from plantops.archive.projection import AuditProjection, cause_of, unread_row
from plantops.archive.store import Store, insert
from plantops.events import TypeUnknown, VersionUnknown
from plantops.events.envelope import EVENT_TYPE
from plantops.flow.bus import Stored
from plantops.ledger.record import AuditRecord, seal_record
from plantops.ledger.tree import leaf_hash
from plantops.runtime.errors import SignatureInvalid
from support.plant_samples import key

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def stored_row(path: Path, table: str, row: Row) -> tuple[object, ...]:
    """As the table gives it back."""
    store = Store.open(path / "live.duckdb", "demo")
    with store.transaction() as connection:
        insert(connection, Batch(rows={table: [row]}))
    (found,) = store.connection.execute(f"SELECT * FROM {table}").fetchall()
    store.close()
    return tuple(found)


@pytest.mark.parametrize(
    ("subject", "headers"),
    [
        ("tag.demo.plc1", {EVENT_TYPE: "tag.frame", "Other": "é\x00"}),
        ("tag.\udcff", {EVENT_TYPE: "\udcc3", "\udcff": "\ud800"}),
        ("tag.demo.plc1", {"CE-TYPE": "tag.frame"}),
        ("tag.demo.plc1", {}),
    ],
)
def test_a_message_with_any_headers_has_its_row(
    tmp_path: Path, subject: str, headers: dict[str, str]
) -> None:
    message = Stored("TAGS", 7, subject, b"\xff\x00", 1_800_000_000_000_000_000, headers)
    found = stored_row(tmp_path, "unread", unread_row(message, ValueError("it is \udcff")))
    assert found[:2] == ("TAGS", 7)
    assert found[5] == "malformed"
    assert found[-1] == b"\xff\x00"
    assert len(msgspec.json.decode(str(found[7]))) == len(headers)


def test_each_reason_has_its_word() -> None:
    assert cause_of(TypeUnknown("x")) == "unknown_type"
    assert cause_of(VersionUnknown("x", 9, 1)) == "unknown_version"
    assert cause_of(SignatureInvalid("x")) == "untrusted"
    assert cause_of(OverflowError("x")) == "malformed"


def record(**changed: object) -> bytes:
    good = AuditRecord(site="demo", writer="gate", sequence=1, previous="", at=NOW, kind="event")
    return seal_record(msgspec.structs.replace(good, **changed), key("gate"))


@pytest.mark.parametrize(
    "data",
    [
        b"no record",
        b"",
        record(sequence=2**63),
        record(sequence=2**70),
        record(body=msgspec.Raw(b'"\xff"')),
        record(body=msgspec.Raw(b"{}"))[:-5],
    ],
)
def test_an_audit_record_that_fits_no_row_keeps_its_place_and_hash(tmp_path: Path, data: bytes) -> None:
    found = stored_row(tmp_path, "audit", audit_row(4, data))
    assert found[0] == 4
    assert leaf_hash(data).hex() in found
    assert "gate" not in found


async def test_audit_records_are_taken_as_they_are(tmp_path: Path) -> None:
    projection, batch = AuditProjection(), Batch()
    chain = [record(), b"rubbish"]
    messages = [Stored("AUDIT", number, "audit.demo.gate", data, 1) for number, data in enumerate(chain, 1)]
    projection.project(await projection.read(messages), batch)
    assert [row[0] for row in batch.rows["audit"]] == [0, 1]
    assert [row[1] for row in batch.rows["audit"]] == ["gate", ""]
