"""A wrong settings file is told in one sentence: file, line, key, what was found and what was wanted."""

from __future__ import annotations

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.runtime.errors import SettingsError
from plantops.runtime.settings import line_in, load_toml
from plantops.runtime.toml_lines import lines_of


class Tag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 502
    mode: Literal["poll", "watch"] = "poll"
    scale: float = 1.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    site: str
    tags: tuple[Tag, ...] = ()
    sources: dict[str, Tag] = {}
    folder: Path = Path()
    begins: datetime | None = None
    limits: dict[str, float] = {}
    either: Tag | bool = False


def load(folder: Path, text: str) -> Settings:
    path = folder / "site.toml"
    path.write_text(text)
    return load_toml(path, Settings)


def test_reads_what_is_right(tmp_path: Path) -> None:
    text = 'site = "demo"\nfolder = "/data"\nbegins = 2026-03-01T00:00:00Z\n[[tags]]\nname = "a"\nscale = 2\n'
    settings = load(tmp_path, text)
    assert settings.tags == (Tag(name="a", scale=2.0),)
    assert settings.folder == Path("/data")
    assert settings.begins is not None


WRONG = [
    ("site = 5\n", 1, "site", "is 5, wanted a text in quotes"),
    ('site = "d"\nsites = {}\n', 2, "sites", "is no setting here: did you mean 'site'?"),
    ('site = "d"\nzzz = 1\n', 2, "zzz", "remove it, known keys are begins, either, folder"),
    ("\n\ntags = []\n", 1, "", "needs the key 'site': add it"),
    ('site = "d"\n[[tags]]\nname = "a"\n[[tags]]\nport = 1\n', 4, "tags[1]", "needs the key 'name'"),
    (
        'site = "d"\n[[tags]]\nname = "a"\n\n[[tags]]\nname = "b"\nport = "502"\n',
        7,
        "tags[1].port",
        "is the text '502', wanted a whole number",
    ),
    (
        'site = "d"\ntags = [\n  { name = "a" },\n  # two\n  { name = "b", prot = 1 },\n]\n',
        5,
        "tags[1].prot",
        "did you mean 'port'?",
    ),
    (
        'site = "d"\n[sources.a]\nname = "a"\n[sources."b c"]\nname = "b"\nport = true\n',
        6,
        "sources.b c.port",
        "is true, wanted a whole number",
    ),
    (
        'site = "d"\nsources.a.name = "a"\nsources.b.name = 1\n',
        3,
        "sources.b.name",
        "is 1, wanted a text",
    ),
    (
        'site = "d"\nsources = { a = { name = "a" }, b = { name = "b", mode = "pol" } }\n',
        2,
        "sources.b.mode",
        "wanted one of 'poll', 'watch'; did you mean 'poll'?",
    ),
    (
        'site = "d"\n[[tags]]\nname = "a"\nport = 70000\n',
        4,
        "tags[0].port",
        "is 70000, wanted a whole number <= 65535",
    ),
    ('site = "d"\ntags = "a"\n', 2, "tags", "is the text 'a', wanted a list"),
    ('site = "d"\ntags = [1]\n', 2, "tags[0]", "is 1, wanted a table"),
    ('site = "d"\nsources = 3\n', 2, "sources", "is 3, wanted a table"),
    ('site = "d"\nfolder = 3\n', 2, "folder", "is 3, wanted a text in quotes"),
    ('site = "d"\nbegins = "soon"\n', 2, "begins", "is the text 'soon'"),
    ('site = "d"\n[limits]\nlow = 1\nhigh = "x"\n', 4, "limits.high", "wanted a number"),
    ('site = "d"\n[either]\nnam = "x"\n', 3, "either.nam", "did you mean 'name'?"),
    ('site = """\n[[tags]]\n"""\nport = 1\n', 4, "port", "is no setting here"),
]


@pytest.mark.parametrize(("text", "line", "key", "why"), WRONG)
def test_names_line_and_key_of_what_is_wrong(
    tmp_path: Path, text: str, line: int, key: str, why: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    message = caught.value.message
    assert message.startswith(f"{tmp_path / 'site.toml'}:{line}: {key or 'the file'} ")
    assert why in message
    assert caught.value.setting == key
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a = \n", 1, "invalid value"),
        ("a = 1\na = 2\n", 2, "cannot overwrite a value"),
        ("[t]\na = 1\n[t]\n", 3, "cannot declare"),
        ("\n\na b\n", 3, "expected '='"),
        ('a = "x', 1, "unterminated string"),
    ],
)
def test_names_the_line_of_what_is_no_toml(tmp_path: Path, text: str, line: int, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert caught.value.message.startswith(f"{tmp_path / 'site.toml'}:{line} is not TOML: ")
    assert why in caught.value.message


def test_a_file_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist: write it"):
        load_toml(tmp_path / "none.toml", Settings)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_toml(tmp_path, Settings)
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load_toml(tmp_path / "x.toml", Settings)


def test_tells_the_line_of_any_place(tmp_path: Path) -> None:
    load(tmp_path, 'site = "d"\n[[tags]]\nname = "a"\n[[tags]]\nname = "b"\n')
    assert line_in(tmp_path / "site.toml", ("tags", 1, "name")) == 5
    assert line_in(tmp_path / "site.toml", ("tags", 1, "port")) == 4
    assert line_in(tmp_path / "site.toml", ("other",)) == 1


TRICKY = r'''
"quoted = key" = "a # no comment" # a comment [x]
literal = 'C:\[[tags]]'
multi = """
[not.a.table]
key = "no key" \
"""""
raw = \'\'\'
[[neither]]\'\'\'
"esc\u0041\"" = 1
list = [ # one
  1, [2, { deep = "]" }],
  "}",
]
[a.b]
c.d.e = 2024-01-01 10:00:00
[[a.list]]
x = 1
[a.list.sub]
y = 2
[[a.list.sub.rows]]
z = 1
[[a.list]]
[[a.list.inner]]
w = { p = 1, q.r = [ 1 ] }
'''.replace("\\'", "'")


def test_finds_every_key_of_a_tricky_file() -> None:
    lines = lines_of(TRICKY)
    assert set(places(tomllib.loads(TRICKY))) == set(lines)
    texts = TRICKY.split("\n")
    second = ("a", "list", 1, "inner", 0, "w", "q", "r")
    expected = {("quoted = key",): 2, ("multi",): 4, ("raw",): 8, ('escA"',): 10, ("list", 1, 1, "deep"): 12}
    expected |= {
        ("list", 2): 13,
        ("a", "list", 0, "sub", "y"): 20,
        second: 25,
    }
    assert {place: lines[place] for place in expected} == expected
    assert all(1 <= line <= len(texts) for line in lines.values())


def places(value: Any, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [place, *(deeper for step, each in inner for deeper in places(each, (*place, step)))]


@given(text=st.text(alphabet="ab=.[]{}\"'#,\n\\ 1", max_size=40))
def test_walks_through_whatever_tomllib_takes(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(places(data)) <= set(lines_of(text))
