"""Settings files: strict TOML into a typed struct, and one clear sentence when something is wrong."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from plantops.runtime.errors import SettingsError
from plantops.runtime.kinds import choices, kinds, names
from plantops.runtime.toml_lines import Place, lines_of
from plantops.runtime.variables import Given, giver, put

T = TypeVar("T")

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(?P<key>[^.\[]+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")
_EXPECTED = re.compile(r"^Expected `(?P<wanted>[^`]+)`(?P<rest>(?! got).*?)(?:, got `[^`]+`)?$")
_FIELD = re.compile(r"^Object (?P<problem>contains unknown|missing required) field `(?P<field>[^`]+)`$")
_SYNTAX = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "datetime": "a date with time",
    "null": "nothing",
}


def load_toml(path: Path, type_: type[T], given: Sequence[Given] = ()) -> T:
    """The settings in `path`. Nothing is converted silently: `1` is a number, `"1"` is not.

    A field of type `Path` is written as a text. What the environment has `given` is stronger than the file.
    The error's `setting` is the dotted place in the file.

    Raises: SettingsError in one sentence naming file and line, or the variable, and key: no such file, no
    TOML, a key that `type_` does not know, a key that is missing, a value of another type or outside its
    bounds.
    """
    text = _read(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(_syntax(path, text, str(error))) from error
    try:
        data = put(data, given)
        return msgspec.convert(data, type_, dec_hook=_from_text)
    except msgspec.ValidationError as error:
        what, place = _locate(data, type_, str(error))
        raise _explain(_Origin(path, lines_of(text), given), _Wrong(data, type_, what, place)) from error


def where(path: Path, place: Place, given: Sequence[Given] = ()) -> str:
    """Who says what stands at `place`: `FILE:LINE`, or `environment NAME`."""
    return _Origin(path, lines_of(_read(path)), given).of(place)


def lines_in(path: Path) -> dict[Place, int]:
    """The line of each key that stands in a file that `load_toml` has read."""
    return lines_of(_read(path))


def line_in(path: Path, place: Place) -> int:
    """The line of `place` in a file that `load_toml` has read, or of the nearest table around it."""
    return _nearest(lines_of(_read(path)), place)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except FileNotFoundError as error:
        raise SettingsError(f"{path} does not exist: write it, or give the path of another file") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}): check path and rights") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text: save it again as UTF-8") from error


def _syntax(path: Path, text: str, message: str) -> str:
    found = _SYNTAX.match(message)
    if found is None:
        return f"{path} is not TOML: {message}"
    line = found["line"] or str(max(1, len(text.splitlines())))
    return f"{path}:{line} is not TOML: {found['what'][:1].lower()}{found['what'][1:]}"


def _from_text(kind: type[Any], value: Any) -> Any:
    if kind is not Path:
        raise NotImplementedError(f"no form of {kind!r} in TOML")
    if not isinstance(value, str):
        raise ValueError("Expected `str`")  # noqa: TRY004 - msgspec adds the place to this one
    return Path(value)


def _locate(data: Any, type_: Any, message: str) -> tuple[str, Place]:
    """The problem and its exact place. msgspec writes `[...]` for any key of a mapping; which one it was
    is found by converting again with one entry of it at a time."""
    found = _PLACE.match(message)
    assert found is not None  # the pattern matches every text
    place: list[str | int] = []
    for step in _STEP.finditer(found["path"] or ""):
        if step["key"] is not None:
            place.append(step["key"])
        elif step["index"] is not None:
            place.append(int(step["index"]))
        else:
            entries = _at(data, tuple(place))
            place.append(next(key for key in entries if _fails(data, type_, (*place, key), message)))
    return found["what"], tuple(place)


def _fails(data: Any, type_: Any, place: Place, message: str) -> bool:
    try:
        msgspec.convert(_only(data, place), type_, dec_hook=_from_text)
    except msgspec.ValidationError as error:
        return str(error) == message
    return False


def _only(data: Any, place: Place) -> Any:
    """`data`, where the mapping that holds the last key of `place` holds nothing else."""
    head, rest = place[0], place[1:]
    if not rest:
        return {head: data[head]}
    copy = data.copy()
    copy[head] = _only(data[head], rest)
    return copy


def _at(data: Any, place: Place) -> Any:
    for step in place:
        data = data[step]
    return data


class _Wrong(NamedTuple):
    data: Any
    type: Any
    what: str
    place: Place


class _Origin(NamedTuple):
    path: Path
    lines: dict[Place, int]
    given: Sequence[Given]

    def of(self, place: Place) -> str:
        if name := giver(place, self.given):
            return f"environment {name}"
        if place not in self.lines:  # a table that the environment alone has begun
            for one in self.given:
                if one.place[: len(place)] == place:
                    return f"environment {one.name}"
        return f"{self.path}:{_nearest(self.lines, place)}"


def _explain(origin: _Origin, wrong: _Wrong) -> SettingsError:
    place = wrong.place
    field = _FIELD.match(wrong.what)
    if field is not None and field["problem"].startswith("contains"):
        place = (*place, field["field"])
        sentence = f"is no setting here{_suggest(field['field'], wrong.type, wrong.place)}"
    elif field is not None:
        sentence = f"needs the key {field['field']!r}: add it"
    else:
        sentence = _wrong_value(wrong)
    key = dotted(place)
    return SettingsError(f"{origin.of(place)}: {key or 'the file'} {sentence}", setting=key)


def _wrong_value(wrong: _Wrong) -> str:
    value = _at(wrong.data, wrong.place)
    expected = _EXPECTED.match(wrong.what)
    if expected is not None:
        wanted = " or ".join(_WORDS.get(word, word) for word in expected["wanted"].split(" | "))
        return f"is {_found(value)}, wanted {wanted}{expected['rest']}"
    allowed = sorted({str(choice) for kind in kinds(wrong.type, wrong.place) for choice in choices(kind)})
    if wrong.what.startswith("Invalid enum value") and allowed:
        close = difflib.get_close_matches(str(value), allowed, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"is {_found(value)}, wanted one of {', '.join(map(repr, allowed))}{hint}"
    return f"is {_found(value)}: {wrong.what[:1].lower()}{wrong.what[1:]}"


def _found(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, list) else f"{value}"


def _suggest(key: str, type_: Any, place: Place) -> str:
    known = [name for kind in kinds(type_, place) for name in names(kind)]
    close = difflib.get_close_matches(key, known, 1)
    if close:
        return f": did you mean {close[0]!r}?"
    return f": remove it, known keys are {', '.join(sorted(known))}" if known else ": remove it"


def dotted(place: Place) -> str:
    """A place as people write it: `tags[2].name`; list positions count from 0."""
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in place]
    return "".join(parts).removeprefix(".")


def _nearest(lines: dict[Place, int], place: Place) -> int:
    while place not in lines:
        place = place[:-1]
    return lines[place]
