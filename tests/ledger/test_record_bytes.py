"""The quick way of reading a record takes nothing that the careful one refuses, and the other way round."""

from __future__ import annotations

import base64
import random

import msgspec
import pytest

from plantops.ledger import record
from plantops.ledger.finding import Finding
from plantops.ledger.record import AuditRecord, believe
from support.ledger_samples import TRUSTED, audit_log

RECORDS = [stored for _writer, stored in audit_log(40)]


def both(stored: bytes) -> tuple[AuditRecord | Finding, AuditRecord | Finding]:
    return believe(3, None, stored, TRUSTED), record._believe_slowly(3, None, stored, TRUSTED)


def test_both_read_good_records_alike() -> None:
    for stored in RECORDS:
        assert record._believe_exact(stored, TRUSTED) is not None
        quick, careful = both(stored)
        assert quick == careful
        assert isinstance(quick, AuditRecord)


@pytest.mark.parametrize("seed", range(4))
def test_both_refuse_the_same_changed_bytes_with_the_same_words(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(500):
        stored = chance.choice(RECORDS)
        at = chance.choice([chance.randrange(len(stored)), len(stored) - 1 - chance.randrange(8)])
        changed = chance.choice(
            [
                stored[:at] + bytes([stored[at] ^ 1 << chance.randrange(8)]) + stored[at + 1 :],
                stored[:at] + stored[at + 1 :],
                stored[:at] + chance.choice([b" ", b"\\", b'"', b"=", b"-"]) + stored[at:],
                stored[:at],
            ]
        )
        quick, careful = both(changed)
        assert quick == careful
        assert isinstance(quick, Finding), changed


def test_base64_that_says_the_same_in_other_letters_is_refused() -> None:
    """The unused bits of a last letter: two texts for the same signed bytes."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    tried = 0
    for stored in RECORDS:
        envelope = msgspec.json.decode(stored)
        for text in (envelope["payload"], envelope["signatures"][0]["sig"]):
            bare = text.rstrip("=")
            if bare == text:
                continue
            other = bare[:-1] + letters[letters.index(bare[-1]) ^ 1] + text[len(bare) :]
            assert base64.b64decode(other) == base64.b64decode(text)
            changed = stored.replace(text.encode(), other.encode())
            quick, careful = both(changed)
            assert isinstance(quick, Finding)
            assert quick == careful
            tried += 1
    assert tried >= len(RECORDS)


def test_what_stands_around_a_record_is_refused() -> None:
    for stored in RECORDS[:5]:
        for changed in (
            stored + b" ",
            b" " + stored,
            stored.replace(b'"keyid":', b'"keyid": '),
            stored.replace(b'"signatures":[{', b'"signatures":[{"x":1,'),
            stored.replace(b'"payload":', b'"payloae":0,"payload":'),
            stored[:-4] + b'x"}]}',
            stored[:-3] + b']}"',
        ):
            quick, careful = both(changed)
            assert isinstance(quick, Finding), changed
            assert quick == careful
