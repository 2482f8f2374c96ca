import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from plantops.ledger import dsse, record
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.keys import SigningKey
from plantops.ledger.record import AuditRecord, Head, RecordChecker, WriterChain
from plantops.runtime.errors import TrustError
from support.ledger_samples import KEYS, SITE, START, STRANGER, TRUSTED, Log, audit_log, numbered

GATE = KEYS["gate"]
LOG = audit_log(25)
GATES = [index for index, (writer, _stored) in enumerate(LOG) if writer == "gate"]


def found(log: Log) -> list[tuple[str, int | None, str]]:
    findings = record.check_records(numbered(log), TRUSTED)
    return [(finding.kind.value, finding.index, finding.writer) for finding in findings]


def gate_record(**changes: object) -> AuditRecord:
    first = WriterChain(SITE, "gate").next("command.permitted", "c1", b'{"a":1}', START)
    return msgspec.structs.replace(first, **changes)


def with_entry(index: int, writer: str, stored: bytes) -> Log:
    return [*LOG[:index], (writer, stored), *LOG[index + 1 :]]


def test_a_log_as_written_has_no_findings() -> None:
    assert found(LOG) == []


def test_a_record_documents_the_exact_bytes_of_the_event() -> None:
    body = b'{"speed": 1.50, "name":"p\\u00fc"}'
    chain = WriterChain(SITE, "gate")
    stored = record.seal_record(chain.next("command.permitted", "c1", b" " + body + b"\n", START), GATE)
    opened = record.open_record(stored, TRUSTED)
    assert bytes(opened.body) == body
    assert (opened.site, opened.writer, opened.sequence, opened.previous) == (SITE, "gate", 1, "")
    assert (opened.at, opened.kind, opened.command) == (START, "command.permitted", "c1")
    assert not opened.is_body_digest


def test_the_chain_goes_on_after_a_restart() -> None:
    last = LOG[GATES[-1]][1]
    chain = WriterChain.resume(last, TRUSTED)
    assert chain.head() == Head(len(GATES), hashlib.sha256(last).hexdigest())
    stored = record.seal_record(chain.next("gate.started", "", b"{}", START), GATE)
    assert found([*LOG, ("gate", stored)]) == []


def test_does_not_resume_behind_a_record_that_it_did_not_sign() -> None:
    with pytest.raises(TrustError):
        WriterChain.resume(record.seal_record(gate_record(), STRANGER), TRUSTED)


def test_the_chain_stands_still_until_the_bytes_are_stored() -> None:
    chain = WriterChain(SITE, "gate")
    assert chain.next("a.b", "", b"1", START) == chain.next("a.b", "", b"1", START)


@pytest.mark.parametrize("body", [b"", b'{"a":', b'1,"writer":"press"', b"1 2", b'"\xff"', b"[" * 100_000])
def test_a_body_that_is_not_one_json_value_cannot_forge_a_record(body: bytes) -> None:
    with pytest.raises(ValueError, match="JSON"):
        WriterChain(SITE, "gate").next("a.b", "", body, START)


def test_refuses_times_that_are_not_utc() -> None:
    for at in (datetime(2026, 3, 1), datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=1)))):  # noqa: DTZ001
        with pytest.raises(ValueError, match="UTC"):
            WriterChain(SITE, "gate").next("a.b", "", b"1", at)


def test_a_body_that_is_too_large_is_replaced_by_its_digest() -> None:
    body = json.dumps("x" * record.MAX_RECORD_BYTES).encode()
    stored = record.seal_record(WriterChain(SITE, "gate").next("a.b", "", body, START), GATE)
    opened = record.open_record(stored, TRUSTED)
    assert opened.is_body_digest
    assert json.loads(bytes(opened.body)) == {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}
    assert len(stored) < 1024
    assert found([("gate", stored)]) == []


@pytest.mark.parametrize("changes", [{"writer": ""}, {"sequence": 0}, {"previous": "x"}, {"kind": "k" * 257}])
def test_never_seals_a_record_that_no_checker_would_accept(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="limit"):
        record.seal_record(gate_record(**changes), GATE)


def test_a_changed_record_is_named_and_so_is_the_hole_that_it_leaves() -> None:
    at, following = GATES[3], GATES[4]
    payload = dsse.decode(LOG[at][1])
    changed = payload.body().replace(b"permitted", b"refused..")
    forged = msgspec.structs.replace(
        payload, payload=dsse.seal(record.RECORD_TYPE, changed, STRANGER).payload
    )
    assert found(with_entry(at, "gate", dsse.encode(forged))) == [
        ("bad_signature", at, "gate"),
        ("sequence_gap", following, "gate"),
    ]


@pytest.mark.parametrize("signer", [STRANGER, KEYS["press"]])
def test_a_key_speaks_only_for_its_own_writer(signer: SigningKey) -> None:
    at = GATES[-1]
    forged = record.seal_record(record.open_record(LOG[at][1], TRUSTED), signer)
    assert found(with_entry(at, "gate", forged)) == [("untrusted_signer", at, "gate")]


def test_a_stripped_signature_is_named() -> None:
    at = GATES[-1]
    stripped = msgspec.structs.replace(dsse.decode(LOG[at][1]), signatures=())
    assert found(with_entry(at, "gate", dsse.encode(stripped))) == [("bad_signature", at, "gate")]


def test_a_record_of_another_type_is_named() -> None:
    payload = dsse.decode(LOG[0][1]).body()
    other = dsse.encode(dsse.seal("application/vnd.plantops.permit.v1+json", payload, GATE))
    assert found([("gate", other)]) == [("bad_signature", 0, "gate")]


def test_a_record_under_another_writers_subject_is_named() -> None:
    assert found(with_entry(0, "press", LOG[0][1])) == [("writer_mismatch", 0, "gate")]


def test_a_dropped_record_is_named_by_the_one_behind_it() -> None:
    at, following = GATES[3], GATES[4]
    without = [item for item in numbered(LOG) if item[0] != at]
    kinds = [(finding.kind, finding.index) for finding in record.check_records(without, TRUSTED)]
    assert kinds == [(FindingKind.STREAM_GAP, at + 1), (FindingKind.SEQUENCE_GAP, following)]


def test_a_repeated_record_is_named() -> None:
    at = GATES[3]
    assert found([*LOG[: at + 1], LOG[at], *LOG[at + 1 :]]) == [("sequence_repeat", at + 1, "gate")]


def test_two_records_in_the_wrong_order_are_named() -> None:
    first, second = GATES[3], GATES[4]
    swapped = list(LOG)
    swapped[first], swapped[second] = LOG[second], LOG[first]
    assert found(swapped) == [("sequence_gap", first, "gate"), ("sequence_repeat", second, "gate")]


def test_a_record_signed_again_by_its_own_writer_breaks_the_chain() -> None:
    at, following = GATES[3], GATES[4]
    rewritten = msgspec.structs.replace(record.open_record(LOG[at][1], TRUSTED), body=msgspec.Raw(b'"other"'))
    assert found(with_entry(at, "gate", record.seal_record(rewritten, GATE))) == [
        ("chain_broken", following, "gate")
    ]


def test_positions_that_come_late_or_never_are_named() -> None:
    moved = [(0, "gate", LOG[0][1]), (3, "press", LOG[1][1]), (2, "gate", LOG[2][1])]
    kinds = [(finding.kind, finding.index) for finding in record.check_records(moved, TRUSTED)]
    assert kinds == [(FindingKind.STREAM_GAP, 3), (FindingKind.STREAM_GAP, 2)]


SEALED = LOG[0][1]


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"{}",
        b"\xff",
        SEALED + b" ",
        SEALED.replace(b'{"', b'{ "', 1),
        SEALED.replace(b'{"', b'{"x":1,"', 1),
        SEALED + b" " * record.MAX_RECORD_BYTES,
        dsse.encode(dsse.seal(record.RECORD_TYPE, dsse.decode(SEALED).body(), GATE, STRANGER)),
        dsse.encode(dsse.seal(record.RECORD_TYPE, b"not json", GATE)),
        dsse.encode(dsse.seal(record.RECORD_TYPE, b'{"writer":"gate"}', GATE)),
        SEALED.replace(b"Z", b"-", 1),
    ],
)
def test_bytes_that_no_writer_writes_are_a_finding_and_no_halt(stored: bytes) -> None:
    assert [(kind, index) for kind, index, _writer in found([("gate", stored), *LOG])][0] == ("malformed", 0)
    assert found([("gate", stored), *LOG]) == [("malformed", 0, "gate")]


def test_strangers_take_no_memory() -> None:
    checker = RecordChecker(TRUSTED)
    for number in range(50):
        chain = WriterChain(SITE, f"stranger{number}")
        checker.check(number, None, record.seal_record(chain.next("a.b", "", b"1", START), STRANGER))
    assert checker.heads == {}


def test_a_check_goes_on_where_another_one_stopped() -> None:
    first = RecordChecker(TRUSTED)
    for index, writer, stored in numbered(LOG)[:11]:
        assert first.check(index, writer, stored) == ()
    second = RecordChecker(TRUSTED, next_index=first.next_index, heads=first.heads)
    findings: list[Finding] = []
    for index, writer, stored in numbered(LOG)[11:]:
        findings.extend(second.check(index, writer, stored))
    assert findings == []


def test_times_are_written_in_utc() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(0)))
    assert WriterChain(SITE, "gate").next("a.b", "", b"1", at).at.tzinfo is UTC
