"""Small, repeatable audit logs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from plantops.ledger.keys import SigningKey, VerifyKey
from plantops.ledger.record import WriterChain, seal_record

SITE = "demo"
START = datetime(2026, 3, 1, tzinfo=UTC)
KEYS = {name: SigningKey.from_seed(name.encode().ljust(32, b".")) for name in ("gate", "press", "agent")}
TRUSTED: dict[str, dict[str, VerifyKey]] = {name: {key.keyid: key.public} for name, key in KEYS.items()}
STRANGER = SigningKey.from_seed(b"stranger".ljust(32, b"."))

Log = Sequence[tuple[str, bytes]]
"""(writer, stored bytes), in stream order."""


def audit_log(count: int) -> list[tuple[str, bytes]]:
    """Give `count` records; writers take turns in an uneven order."""
    chains = {name: WriterChain(SITE, name) for name in KEYS}
    log: list[tuple[str, bytes]] = []
    for number in range(count):
        writer = ("gate", "press", "gate", "agent", "press")[number % 5]
        body = b'{"number":%d}' % number
        at = START + timedelta(seconds=number)
        record = chains[writer].next("command.permitted", f"c{number // 5}", body, at)
        stored = seal_record(record, KEYS[writer])
        chains[writer] = chains[writer].after(stored)
        log.append((writer, stored))
    return log


def numbered(log: Log) -> list[tuple[int, str | None, bytes]]:
    return [(index, writer, stored) for index, (writer, stored) in enumerate(log)]
