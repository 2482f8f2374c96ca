"""A released event that would change its meaning is noticed, whatever the change; what is allowed passes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
import pytest

from layout.repository import ROOT
from plantops.events.base import Event, Record
from plantops.schemas import folder
from plantops.schemas.catalogue import Documented, documented
from plantops.schemas.compatibility import changes
from plantops.schemas.documents import schema_of
from schemas.folder import SCHEMAS, read_json


class Part(Record, frozen=True):
    value: float
    note: str = ""


class Made(Event, frozen=True, tag="made.up"):
    """A part was made."""

    name: str
    count: int
    cause: Literal["order", "test"]
    parts: tuple[Part, ...] = ()
    by_name: dict[str, Part] = {}
    best: Part | None = None
    speed: float = 1.0
    rush: bool = False


FIELDS = {field.name: field for field in msgspec.structs.fields(Made)}


def schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return schema_of(Documented("events", "made.up", 1, struct))


def altered(*, tag: str = "made.up", doc: str = "A part was made.", **fields: Any) -> list[str]:
    """What is said of the event with these fields: None takes one away, a pair has a default."""
    known: dict[str, Any] = {
        name: (field.type,) if field.required else (field.type, value_of(field))
        for name, field in FIELDS.items()
    }
    known |= fields
    listed = [(name, *form) for name, form in known.items() if form is not None]
    other = msgspec.defstruct(
        "Made", listed, tag=tag, tag_field="type", kw_only=True, namespace={"__doc__": doc}
    )
    return changes(schema(Made), schema(other))


def value_of(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


class Renamed(Record, frozen=True):
    amount: float
    note: str = ""


class Narrower(Record, frozen=True):
    value: int
    note: str = ""


class Wider(Record, frozen=True):
    value: float
    note: str = ""
    unit: str = ""


class Needy(Record, frozen=True):
    value: float
    unit: str
    note: str = ""


def test_the_same_struct_made_anew_is_the_same() -> None:
    assert altered() == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"count": None}, "count: removed or renamed"),
        ({"count": None, "amount": (int,)}, "count: removed or renamed"),
        ({"count": None, "amount": (int,)}, "amount: new, and without a default"),
        ({"count": (str,)}, "count: type was 'integer', is 'string'"),
        ({"count": (float,)}, "count: type was 'integer', is 'number'"),
        ({"count": (int | str,)}, "count: type was 'integer', is None"),
        ({"extra": (str,)}, "extra: new, and without a default"),
        ({"cause": (Literal["order"],)}, "cause: the value 'test' is gone"),
        (
            {"cause": (Literal["order", "test", "repair"],)},
            "cause: the value 'repair' is new, and older readers refuse it",
        ),
        ({"tag": "made.anew"}, "type: the type string was ['made.up'], is ['made.anew']"),
        ({"speed": (float, 2.0)}, "speed: the default was 1.0, is 2.0"),
        ({"rush": (bool, True)}, "rush: the default was False, is True"),
        ({"speed": (float,)}, "speed: was optional, is required"),
        ({"count": (int, 0)}, "count: was required, is optional"),
        ({"best": (Part, Part(value=1.0))}, "best: could be 2 kinds of value, can be 0"),
        ({"parts": (tuple[Renamed, ...], ())}, "parts[].value: removed or renamed"),
        ({"parts": (tuple[Narrower, ...], ())}, "parts[].value: type was 'number', is 'integer'"),
        ({"by_name": (dict[str, Needy], {})}, "by_name{}.unit: new, and without a default"),
        ({"best": (Renamed | None, None)}, "best.value: removed or renamed"),
        ({"parts": (dict[str, Part], {})}, "parts: type was 'array', is 'object'"),
    ],
)
def test_a_change_of_meaning_is_told(change: dict[str, Any], told: str) -> None:
    assert told in altered(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"operator": (str, "")},
        {"weights": (tuple[float, ...], ())},
        {"worst": (Part | None, None)},
        {"parts": (tuple[Wider, ...], ())},
        {"doc": "Somebody made a part."},
    ],
    ids=["new field", "new list", "new record", "new field in a record", "other words"],
)
def test_what_keeps_the_meaning_passes(change: dict[str, Any]) -> None:
    assert altered(**change) == []


def test_a_struct_inside_itself_is_compared_and_comes_to_an_end() -> None:
    policy = next(entry for entry in documented() if entry.name == "policy")
    old, new = schema_of(policy), schema_of(policy)
    del new["$defs"]["Compare"]["properties"]["quality"]
    assert changes(old, schema_of(policy)) == []
    assert [each for each in changes(old, new) if each.endswith(".quality: removed or renamed")]


def test_a_packed_row_keeps_its_places() -> None:
    frame = next(entry for entry in documented() if entry.name == "tag.frame")
    old, new = schema_of(frame), schema_of(frame)
    places = new["$defs"]["Column"]["prefixItems"]
    places[1], places[2] = places[2], places[1]
    assert changes(old, new)
    del places[4]
    assert "columns[]: had 5 places, has 4" in changes(old, new)


# The committed schema of a version is what later code is held against.


def test_no_released_schema_has_changed_its_meaning() -> None:
    assert list(folder.broken(SCHEMAS, documented())) == []


def told_by_git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_no_schema_that_was_ever_released_has_another_meaning_or_is_gone() -> None:
    # Who deletes or edits a committed schema to get a change through is found by what was committed before.
    areas = [f"schemas/{area}" for area in ("events", "payloads", "services")]
    told = told_by_git("log", "--format=commit %H", "--name-only", "--diff-filter=MD", "--", *areas)
    commit, found = "", []
    for line in filter(None, told.splitlines()):
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
            continue
        before = msgspec.json.decode(told_by_git("show", f"{commit}^:{line}"))
        now = ROOT / line
        found += [f"{line}: gone"] if not now.is_file() else changes(before, read_json(now))
    assert found == []


def test_a_changed_meaning_is_not_written_over_the_released_one(tmp_path: Path) -> None:
    folder.write(tmp_path)
    place = tmp_path / "events" / "source.up" / "1.schema.json"
    released = read_json(place)
    released["properties"]["made_up"] = {"type": "string"}
    released["required"].append("made_up")
    place.write_bytes(folder.written(released))
    before = place.read_bytes()
    assert folder.compare(tmp_path).breaking == [
        "events/source.up/1.schema.json: made_up: removed or renamed"
    ]
    with pytest.raises(ValueError, match=r"made_up: removed or renamed"):
        folder.write(tmp_path)
    assert place.read_bytes() == before


def test_a_released_type_that_nobody_knows_any_more_is_told(tmp_path: Path) -> None:
    folder.write(tmp_path)
    entries = [entry for entry in documented() if entry.name != "source.up"]
    renamed = Documented("events", "source.came", 1, Made)
    assert list(folder.broken(tmp_path, [*entries, renamed])) == [
        "events/source.up/1.schema.json: nothing has this name any more"
    ]


def test_a_new_version_stands_beside_the_old_one(tmp_path: Path) -> None:
    class Later(Event, frozen=True, tag="made.up"):
        version: ClassVar[int] = 2
        amount: float

    first = Documented("events", "made.up", 1, Made)
    place = tmp_path / first.path
    place.parent.mkdir(parents=True)
    place.write_bytes(folder.written(schema_of(first)))
    assert list(folder.broken(tmp_path, (Documented("events", "made.up", 1, Later),)))
    assert list(folder.broken(tmp_path, (Documented("events", "made.up", 2, Later),))) == []
