"""Every change of an export is found, and named where the files still tell."""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from plantops.ledger import checkpoint, record, tiles
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import FindingKind
from plantops.ledger.keys import SigningKey
from plantops.ledger.note import NoteKey
from plantops.ledger.tree import Tree, leaf_hash
from plantops.ledger.verify import Report, verify_export
from support.ledger_samples import STRANGER, TRUSTED, audit_log

LOG = SigningKey.from_seed(b"log".ljust(32, b"."))
LOG_KEY = NoteKey("plantops.example/demo", LOG.public)
SMALL, LARGE = 24, 270  # LARGE has two bundles, two level-0 tiles and one above them
RECORDS = audit_log(LARGE)
ENTRIES = [stored for _writer, stored in RECORDS]
Entries = list[bytes]


def signed(entries: Entries) -> bytes:
    root = Tree(map(leaf_hash, entries)).root()
    return checkpoint.sign(Checkpoint(LOG_KEY.name, len(entries), root), LOG)


def export(folder: Path, entries: Entries, *, note: bytes = b"") -> Path:
    tiles.write_tiles(folder, entries, note or signed(entries))
    return folder


def verified(folder: Path) -> Report:
    return verify_export(folder, log_key=LOG_KEY, writers=TRUSTED)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("small"), ENTRIES[:SMALL])


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("large"), ENTRIES)


@contextmanager
def changed_file(path: Path, data: bytes | None) -> Iterator[None]:
    original = path.read_bytes()
    path.unlink() if data is None else path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, LARGE])
def test_an_export_as_written_has_no_findings(tmp_path: Path, size: int) -> None:
    report = verified(export(tmp_path, ENTRIES[:size]))
    root = Tree(map(leaf_hash, ENTRIES[:size])).root()
    assert report == Report(size, root, root, size, ())
    assert report.ok
    assert report.first_bad_index is None


# --- One file is changed: 600 random changes, each blamed on its file, and on its record when it has one.


def flipped(data: bytes, at: int, chance: random.Random) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def cut(data: bytes, at: int, _chance: random.Random) -> bytes:
    return data[:at]


def without_byte(data: bytes, at: int, _chance: random.Random) -> bytes:
    return data[:at] + data[at + 1 :]


def with_byte(data: bytes, at: int, chance: random.Random) -> bytes:
    """Never the byte that follows already, which would put off the difference to a later byte."""
    return data[:at] + bytes([(data[at] + chance.randrange(1, 256)) % 256]) + data[at:]


def entry_at(folder: Path, path: Path, at: int) -> int:
    """The leaf index of the entry that byte `at` of a bundle belongs to."""
    number = int(path.relative_to(folder / "tile/entries").parts[0].removesuffix(".p"))
    index, position = number * tiles.TILE_WIDTH, 0
    while (position := position + 2 + len(ENTRIES[index])) <= at:
        index += 1
    return index


def assert_blamed(folder: Path, path: Path, at: int) -> None:
    report, relative = verified(folder), path.relative_to(folder).as_posix()
    what = (relative, at, report.findings)
    if relative.startswith("tile/entries"):
        assert report.first_bad_index == entry_at(folder, path, at), what
        assert not {FindingKind.ROOT_MISMATCH, FindingKind.TILE_MISMATCH} & {
            f.kind for f in report.findings
        }, what
    else:
        assert {finding.path for finding in report.findings} == {relative}, what
        assert report.first_bad_index is None, what


@pytest.mark.parametrize("change", [flipped, cut, without_byte, with_byte])
def test_a_changed_file_is_found_and_the_right_place_is_blamed(
    small: Path, large: Path, change: Callable[[bytes, int, random.Random], bytes]
) -> None:
    chance = random.Random(change.__name__)
    for folder, times in ((small, 135), (large, 15)):
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        for _ in range(times):
            path = chance.choice(paths)
            data = path.read_bytes()
            at = chance.randrange(len(data))
            with changed_file(path, change(data, at, chance)):
                assert_blamed(folder, path, at)
    assert verified(small).ok


def test_a_missing_file_is_named(large: Path) -> None:
    for path in [path for path in large.rglob("*") if path.is_file()]:
        with changed_file(path, None):
            report = verified(large)
        assert not report.ok
        assert report.findings[0].path == path.relative_to(large).as_posix()


def test_a_file_that_the_signed_size_has_no_place_for_is_named(small: Path) -> None:
    stray = small / "tile/0/001"
    stray.write_bytes(b"x")
    try:
        assert [(f.kind, f.path) for f in verified(small).findings] == [
            (FindingKind.UNEXPECTED_FILE, "tile/0/001")
        ]
    finally:
        stray.unlink()


# --- The log is changed: 400 random changes against a reader who has the tiles or only the checkpoint.


def forged(entries: Entries, at: int) -> bytes:
    original = record.open_record(entries[at], TRUSTED)
    return record.seal_record(msgspec.structs.replace(original, body=msgspec.Raw(b'"forged"')), STRANGER)


def edited(entries: Entries, chance: random.Random) -> tuple[Entries, int]:
    at = chance.randrange(len(entries))
    return [*entries[:at], forged(entries, at), *entries[at + 1 :]], at


def dropped(entries: Entries, chance: random.Random) -> tuple[Entries, int]:
    at = chance.randrange(len(entries))
    return [*entries[:at], *entries[at + 1 :]], at


def inserted(entries: Entries, chance: random.Random) -> tuple[Entries, int]:
    at = chance.randrange(len(entries))
    return [*entries[:at], forged(entries, at), *entries[at:]], at


def duplicated(entries: Entries, chance: random.Random) -> tuple[Entries, int]:
    at = chance.randrange(len(entries) - 1)
    return [*entries[: at + 1], *entries[at:]], at + 1


def swapped(entries: Entries, chance: random.Random) -> tuple[Entries, int]:
    first, second = sorted(chance.sample(range(len(entries)), 2))
    changed = list(entries)
    changed[first], changed[second] = entries[second], entries[first]
    return changed, first


def moved(entries: Entries, chance: random.Random) -> tuple[Entries, int]:
    source, target = chance.sample(range(len(entries)), 2)
    changed = [*entries[:source], *entries[source + 1 :]]
    changed.insert(target, entries[source])
    return changed, min(source, target)


def truncated(entries: Entries, chance: random.Random) -> tuple[Entries, int]:
    at = chance.randrange(len(entries))
    return entries[:at], at


Change = Callable[[Entries, random.Random], tuple[Entries, int]]
CHANGES: list[Change] = [edited, dropped, inserted, duplicated, swapped, moved, truncated]


def bundle(entries: Entries) -> bytes:
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_entries_alone_is_found_at_its_first_record(small: Path, change: Change) -> None:
    chance, path = random.Random(change.__name__), small / tiles.bundle_path(0, SMALL)
    for _ in range(30):
        entries, at = change(ENTRIES[:SMALL], chance)
        with changed_file(path, bundle(entries)):
            report = verified(small)
        assert report.first_bad_index == at, (at, report.findings)
        assert FindingKind.ROOT_MISMATCH not in {finding.kind for finding in report.findings}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_with_all_tiles_rebuilt_is_found_by_the_signed_root(tmp_path: Path, change: Change) -> None:
    chance = random.Random(change.__name__)
    for number in range(27):
        entries, _at = change(ENTRIES[:SMALL], chance)
        report = verified(export(tmp_path / str(number), entries, note=signed(ENTRIES[:SMALL])))
        kinds = {finding.kind for finding in report.findings}
        assert kinds & {FindingKind.ROOT_MISMATCH, FindingKind.ENTRIES_MISSING}, kinds


@pytest.mark.parametrize("change", [edited, inserted, duplicated])
def test_whoever_holds_the_log_key_still_cannot_forge_or_repeat_records(
    tmp_path: Path, change: Change
) -> None:
    chance = random.Random(change.__name__)
    for number in range(20):
        entries, at = change(ENTRIES[:SMALL], chance)
        report = verified(export(tmp_path / str(number), entries))
        assert report.first_bad_index == at, (at, report.findings)


def test_whoever_holds_the_log_key_still_cannot_drop_a_record_from_the_middle(tmp_path: Path) -> None:
    for at in range(SMALL - 5):
        writer = RECORDS[at][0]
        following = next(i for i in range(at + 1, SMALL) if RECORDS[i][0] == writer) - 1
        entries = [*ENTRIES[:at], *ENTRIES[at + 1 : SMALL]]
        report = verified(export(tmp_path / str(at), entries))
        found = [(finding.kind, finding.index, finding.writer) for finding in report.findings]
        assert found == [(FindingKind.SEQUENCE_GAP, following, writer)]


def test_two_damages_in_different_places_are_both_found(large: Path) -> None:
    tile, entries = large / "tile/0/000", large / "tile/entries/001.p/14"
    chance = random.Random(1)
    with (
        changed_file(tile, flipped(tile.read_bytes(), 40 * 32, chance)),
        changed_file(entries, flipped(entries.read_bytes(), 100, chance)),
    ):
        report = verified(large)
    assert {40, 256} <= {finding.index for finding in report.findings}


def test_damage_of_both_levels_of_tiles_is_found_on_each(large: Path) -> None:
    lower, upper = large / "tile/0/000", large / "tile/1/000.p/1"
    chance = random.Random(2)
    with (
        changed_file(lower, flipped(lower.read_bytes(), 0, chance)),
        changed_file(upper, flipped(upper.read_bytes(), 0, chance)),
    ):
        report = verified(large)
    assert {finding.path for finding in report.findings} == {"tile/0/000", "tile/1/000.p/1"}
    assert report.first_bad_index is None


def test_bytes_hidden_behind_the_entries_are_found(small: Path) -> None:
    path = small / tiles.bundle_path(0, SMALL)
    for hidden in (b"x", b"\x00\x00", bundle([ENTRIES[SMALL]])):
        with changed_file(path, path.read_bytes() + hidden):
            report = verified(small)
        assert [finding.kind for finding in report.findings] == [FindingKind.ENTRIES_DAMAGED]


# --- The checkpoint


def test_a_checkpoint_by_another_key_or_of_another_log_proves_nothing(tmp_path: Path) -> None:
    root = Tree(map(leaf_hash, ENTRIES[:3])).root()
    for number, note in enumerate(
        [
            checkpoint.sign(Checkpoint(LOG_KEY.name, 3, root), STRANGER),
            checkpoint.sign(Checkpoint("other.example", 3, root), LOG, name=LOG_KEY.name),
            checkpoint.sign(Checkpoint("other.example", 3, root), LOG),
        ]
    ):
        report = verified(export(tmp_path / str(number), ENTRIES[:3], note=note))
        assert [finding.kind for finding in report.findings] == [FindingKind.CHECKPOINT_INVALID]
        assert (report.size, report.checked) == (0, 0)


def test_an_older_checkpoint_over_newer_files_is_refused(tmp_path: Path) -> None:
    assert not verified(export(tmp_path, ENTRIES[:20], note=signed(ENTRIES[:19]))).ok


def test_a_writer_whose_keys_are_not_given_is_not_believed(small: Path) -> None:
    known = {name: keys for name, keys in TRUSTED.items() if name != "press"}
    report = verify_export(small, log_key=LOG_KEY, writers=known)
    blamed = {finding.writer for finding in report.findings}
    assert blamed == {"press"}
    assert {finding.kind for finding in report.findings} == {FindingKind.UNTRUSTED_SIGNER}


def test_a_bad_record_is_reported_and_the_rest_is_checked(tmp_path: Path) -> None:
    entries = [*ENTRIES[:5], b"rubbish", *ENTRIES[5:20]]
    report = verified(export(tmp_path, entries))
    assert [(finding.kind, finding.index) for finding in report.findings] == [(FindingKind.MALFORMED, 5)]
    assert report.checked == 21


def test_an_empty_folder_is_no_export(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path)
    assert [finding.kind for finding in verified(tmp_path).findings] == [FindingKind.CHECKPOINT_MISSING]
