"""The audit journal: what it returned from is on the disk, and nothing in it can be changed unseen."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plantops.flow.journal import Journal, JournalEntry, Mark
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import IntegrityError

KEY = SigningKey.from_seed(b"journal".ljust(32, b"."))
AT = datetime(2026, 3, 1, tzinfo=UTC)


def entry(number: int) -> JournalEntry:
    return JournalEntry(kind="command.safe_permitted", command=f"c{number}", body="{}", at=AT)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state" / "audit.journal", KEY)


def test_gives_back_what_was_written_in_order(journal: Journal) -> None:
    entries = [entry(number) for number in range(5)]
    for one in entries:
        journal.write(one)
    assert journal.pending() == entries
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_an_empty_journal_is_no_file_and_no_entry(journal: Journal) -> None:
    assert journal.pending() == []
    assert not journal.path.exists()


def test_forgets_only_what_is_settled(journal: Journal) -> None:
    entries = [entry(number) for number in range(4)]
    for one in entries:
        journal.write(one)
    journal.settle({entries[0].id, entries[2].id})
    assert journal.pending() == [entries[1], entries[3]]
    journal.settle({entries[1].id, entries[3].id})
    assert not journal.path.exists()


def test_two_equal_acts_are_two_entries(journal: Journal) -> None:
    first, second = entry(1), entry(1)
    journal.write(first)
    journal.write(second)
    journal.settle({first.id})
    assert journal.pending() == [second]


@pytest.mark.parametrize("torn", [b'{"payloadType":"appl', b"\x00" * 10])
def test_leaves_out_a_torn_last_line_and_writes_on_behind_it(journal: Journal, torn: bytes) -> None:
    first, second = entry(1), entry(2)
    journal.write(first)
    with journal.path.open("ab") as file:
        file.write(torn)
    assert journal.pending() == [first]
    journal.write(second)
    assert journal.pending() == [first, second]


def test_every_cut_of_the_file_leaves_a_prefix_of_the_entries(journal: Journal) -> None:
    entries = [entry(1), entry(2)]
    for one in entries:
        journal.write(one)
    whole = journal.path.read_bytes()
    for length in range(len(whole)):
        journal.path.write_bytes(whole[:length])
        assert journal.pending() in ([], entries[:1])


def test_a_changed_line_is_named_and_stops_the_reader(journal: Journal) -> None:
    journal.write(entry(1))
    journal.write(entry(2))
    data = bytearray(journal.path.read_bytes())
    data[60] ^= 1
    journal.path.write_bytes(data)
    with pytest.raises(IntegrityError, match="line 1"):
        journal.pending()


def test_a_line_of_another_key_is_refused(journal: Journal) -> None:
    Journal(journal.path, SigningKey.from_seed(b"other".ljust(32, b"."))).write(entry(1))
    with pytest.raises(IntegrityError, match="line 1"):
        journal.pending()


def test_a_mark_tells_what_is_stored_only_at_its_own_head(journal: Journal) -> None:
    one, two = entry(1), entry(2)
    journal.write(one)
    journal.mark(Mark((one.id,), 7, "aa"))
    journal.write(two)
    journal.mark(Mark((one.id, two.id), 8, "bb"))
    contents = journal.read()
    assert contents.stored_at(7, "aa") == {one.id}
    assert contents.stored_at(8, "bb") == {one.id, two.id}
    assert contents.stored_at(8, "aa") == frozenset()


def test_says_so_when_the_disk_refuses(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(IntegrityError, match="cannot write the audit journal"):
        Journal(tmp_path / "state" / "audit.journal", KEY).write(entry(1))
