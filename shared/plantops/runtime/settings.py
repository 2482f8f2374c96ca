"""Settings files: strict TOML into a typed struct, and one clear sentence when something is wrong."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

from plantops.runtime.errors import SettingsError
from plantops.runtime.toml_lines import Place, lines_of

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


def load_toml(path: Path, type_: type[T]) -> T:
    """The settings in `path`. Nothing is converted silently: `1` is a number, `"1"` is not.

    A field of type `Path` is written as a text. The error's `setting` is the dotted place in the file.

    Raises: SettingsError in one sentence naming file, line and key: no such file, no TOML, a key that
    `type_` does not know, a key that is missing, a value of another type or outside its bounds.
    """
    text = _read(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(_syntax(path, text, str(error))) from error
    try:
        return msgspec.convert(data, type_, dec_hook=_from_text)
    except msgspec.ValidationError as error:
        what, place = _locate(data, type_, str(error))
        raise _explain(path, lines_of(text), _Wrong(data, type_, what, place)) from error


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


def _explain(path: Path, lines: dict[Place, int], wrong: _Wrong) -> SettingsError:
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
    return SettingsError(f"{path}:{_nearest(lines, place)}: {key or 'the file'} {sentence}", setting=key)


def _wrong_value(wrong: _Wrong) -> str:
    value = _at(wrong.data, wrong.place)
    expected = _EXPECTED.match(wrong.what)
    if expected is not None:
        wanted = " or ".join(_WORDS.get(word, word) for word in expected["wanted"].split(" | "))
        return f"is {_found(value)}, wanted {wanted}{expected['rest']}"
    choices = sorted({str(choice) for kind in _kinds(wrong.type, wrong.place) for choice in _choices(kind)})
    if wrong.what.startswith("Invalid enum value") and choices:
        close = difflib.get_close_matches(str(value), choices, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"is {_found(value)}, wanted one of {', '.join(map(repr, choices))}{hint}"
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
    names = [name for kind in _kinds(type_, place) for name in _names(kind)]
    close = difflib.get_close_matches(key, names, 1)
    if close:
        return f": did you mean {close[0]!r}?"
    return f": remove it, known keys are {', '.join(sorted(names))}" if names else ": remove it"


def _names(kind: inspect.Type) -> tuple[str, ...]:
    if isinstance(kind, inspect.StructType | inspect.DataclassType):
        return tuple(field.encode_name for field in kind.fields)
    return ()


def _choices(kind: inspect.Type) -> tuple[Any, ...]:
    if isinstance(kind, inspect.LiteralType):
        return tuple(kind.values)
    return tuple(member.value for member in kind.cls) if isinstance(kind, inspect.EnumType) else ()


def _kinds(type_: Any, place: Place) -> list[inspect.Type]:
    """The types that may stand at `place`."""
    kinds = list(_alternatives(inspect.type_info(type_)))
    for step in place:
        kinds = [deeper for kind in kinds for inner in _inside(kind, step) for deeper in _alternatives(inner)]
    return kinds


def _alternatives(kind: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.UnionType):
        yield from kind.types
    else:
        yield kind


def _inside(kind: inspect.Type, step: str | int) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.StructType | inspect.DataclassType):
        yield from (field.type for field in kind.fields if field.encode_name == step)
    elif isinstance(kind, inspect.DictType):
        yield kind.value_type
    elif isinstance(kind, inspect.TupleType):
        yield from kind.item_types[int(step) : int(step) + 1]
    elif isinstance(kind, inspect.CollectionType):
        yield kind.item_type


def dotted(place: Place) -> str:
    """A place as people write it: `tags[2].name`; list positions count from 0."""
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in place]
    return "".join(parts).removeprefix(".")


def _nearest(lines: dict[Place, int], place: Place) -> int:
    while place not in lines:
        place = place[:-1]
    return lines[place]
