"""A broker with the audit's streams, and the notary's answer about heads, taken from what is stored."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from plantops.events.base import encode_json
from plantops.events.envelope import Message
from plantops.events.queries import HeadTold, problem
from plantops.flow.memory import MemoryBroker
from plantops.ledger.finding import Finding
from plantops.ledger.keys import VerifyKey
from plantops.ledger.record import BEGINNING, AuditRecord, RecordChecker, open_record

SITE = "demo"
Trusted = dict[str, dict[str, VerifyKey]]


def audit_broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.add_stream("AUDIT", ["audit.*.*"])
    broker.add_stream("CHECKPOINTS", ["checkpoint.*"])
    broker.add_stream("COSIGNATURES", ["cosignature.*.*", "dispute.*.*"], max_per_subject=1)
    return broker


def stored_bytes(broker: MemoryBroker) -> list[bytes]:
    return [message.data for message in broker.stream("AUDIT").messages.values()]


def records(broker: MemoryBroker, trusted: Trusted) -> list[AuditRecord]:
    return [open_record(stored, trusted) for stored in stored_bytes(broker)]


def bodies(broker: MemoryBroker, trusted: Trusted) -> list[object]:
    return [msgspec.json.decode(record.body) for record in records(broker, trusted)]


def findings(broker: MemoryBroker, trusted: Trusted) -> Sequence[Finding]:
    checker = RecordChecker(trusted)
    return [
        finding
        for message in broker.stream("AUDIT").messages.values()
        for finding in checker.check(message.sequence - 1, message.subject.split(".")[2], message.data)
    ]


async def serve_heads(broker: MemoryBroker, trusted: Trusted, *, believes: bool = True) -> None:
    """Answer `head.<site>.*` from the stream as it is at that moment."""

    async def answer(message: Message) -> bytes:
        if not believes:
            return problem("not_trusted", "no key of this writer is known here")
        writer = message.subject.split(".")[2]
        checker = RecordChecker(trusted)
        for stored in broker.stream("AUDIT").messages.values():
            checker.check(stored.sequence - 1, stored.subject.split(".")[2], stored.data)
        head = checker.heads.get(writer, BEGINNING)
        last = broker.stream("AUDIT").last_sequence(f"audit.{SITE}.{writer}")
        return encode_json(HeadTold(sequence=head.sequence, hash=head.previous, stored=last))

    await broker.bus("notary").serve(f"head.{SITE}.*", answer)
