"""Settings from the environment instead of the file: their names, and how they are read."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from plantops.runtime.errors import SettingsError
from plantops.runtime.kinds import alternatives, choices
from plantops.runtime.toml_lines import Place

PREFIX: Final = "PLANTOPS_"
BETWEEN: Final = "__"
_NEAR: Final = 0.85
_TABLES: Final = (inspect.StructType, inspect.DictType)
_COMPOUND: Final = (*_TABLES, inspect.CollectionType, inspect.TupleType)


class Given(NamedTuple):
    """A value of the environment: the variable's name, the place that it sets, and what it says."""

    name: str
    place: Place
    value: Any


@dataclass(frozen=True)
class Variables:
    """Each key of the site file has a variable, which is stronger than the file.

    Its name is `PLANTOPS_`, then tables and key in capitals, with two underscores between levels, since one
    stands inside of names: `file` of `[gateway.api_keys]` is `PLANTOPS_GATEWAY__API_KEYS__FILE`, and
    `log_level` is `PLANTOPS_LOG_LEVEL`.

    The key's type alone decides how it is read: a text is taken as it is, everything else is JSON: numbers,
    `true`, `null`, lists, tables. A table may be given whole, instead of that of the file; the variables of
    its keys are stronger still. What is in a map, such as `sources`, is given with the whole map. An empty
    variable counts as none.

    A variable that begins as a table does, that has two underscores in it, or that is close to the name of
    a setting, and is none, is an error: what `env:` names needs a name of another kind.
    """

    # `short` are further names of some settings; `others` are names with our prefix that are no settings;
    # `fixed` are keys of the top that the environment cannot set.
    type_: type
    short: Mapping[str, Place] = field(default_factory=dict)
    others: Collection[str] = ()
    fixed: Collection[str] = ()

    @property
    def places(self) -> dict[str, Place]:
        """Each name with the place that it sets: tables as a whole, and each of their keys."""
        return dict(self.short) | {name: place for name, (place, _kind) in self._known.items()}

    def of(self, place: Place) -> str:
        """The variable that sets `place`, "" when there is none: what is within a map has none."""
        name = PREFIX + BETWEEN.join(str(step).upper() for step in place)
        return name if name in self._known else ""

    def given(self, environment: Mapping[str, str]) -> tuple[Given, ...]:
        """What `environment` says, the whole tables before their keys.

        Raises: SettingsError for a name that is meant as a setting and is none, and for a list or table
        that is no JSON.
        """
        known = self._known
        found: dict[Place, Given] = {}
        for name in sorted(one for one in environment if one.startswith(PREFIX) and environment[one]):
            long = self.of(self.short[name]) if name in self.short else name
            if long not in known:
                self._check(name)
                continue
            place, kind = known[long]
            if place in found:
                raise SettingsError(
                    f"environment {name} and {found[place].name} are names of one setting: unset one",
                    setting=name,
                )
            found[place] = Given(name, place, _value(name, environment[name], kind))
        return tuple(sorted(found.values(), key=lambda one: len(one.place)))

    @cached_property
    def _known(self) -> dict[str, tuple[Place, inspect.Type]]:
        return dict(_walk(PREFIX, (), inspect.type_info(self.type_), self.fixed))

    def _check(self, name: str) -> None:
        """Raises: SettingsError when `name` looks like a setting: it begins as a table, or is near to one.

        Other names are none of ours: secrets that `env:` names, or another program's.
        """
        if name in self.others:
            return
        known = {_flat(one): one for one in (*self._known, *self.short)}
        tables = {one for one, (place, kind) in self._known.items() if len(place) == 1 and _is_table(kind)}
        is_below = any(name.startswith(f"{table}_") for table in tables)
        close = difflib.get_close_matches(_flat(name), known, 1, cutoff=0.6 if is_below else _NEAR)
        if is_below or BETWEEN in name or close:
            hint = f"did you mean {known[close[0]]}?" if close else "unset it"
            raise SettingsError(f"environment {name} is no setting: {hint}", setting=name)


def put(data: dict[str, Any], given: Iterable[Given]) -> dict[str, Any]:
    """`data`, with each of `given` in its place; unchanged where no table, but a value is on the way."""
    for one in given:
        data = _put(data, one.place, one.value)
    return data


def giver(place: Place, given: Iterable[Given]) -> str:
    """The variable that says what stands at `place`, or around it; "" when that is the file."""
    strongest = ""
    for one in given:
        if place[: len(one.place)] == one.place:
            strongest = one.name
    return strongest


def _put(data: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    head, rest = str(place[0]), place[1:]
    if not rest:
        return {**data, head: value}
    inner = data.get(head, {})
    return {**data, head: _put(inner, rest, value)} if isinstance(inner, dict) else data


def _walk(
    prefix: str, place: Place, kind: inspect.Type, fixed: Collection[str] = ()
) -> Iterator[tuple[str, tuple[Place, inspect.Type]]]:
    for table in alternatives(kind):
        if isinstance(table, inspect.StructType):
            for one in table.fields:
                if one.encode_name in fixed:
                    continue
                name, inner = f"{prefix}{one.encode_name.upper()}", (*place, one.encode_name)
                yield name, (inner, one.type)
                yield from _walk(f"{name}{BETWEEN}", inner, one.type)


def _value(name: str, text: str, kind: inspect.Type) -> Any:
    found = list(alternatives(kind))
    if any(_is_text(one) for one in found):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if not any(_is_compound(one) for one in found):
            return text  # whoever converts it says what was wanted
        # Its text is not shown: a table may hold what is nobody's business.
        raise SettingsError(f"environment {name} is no JSON: {error}", setting=name) from error


def _is_text(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.CustomType):
        return kind.cls is Path
    is_plain = isinstance(kind, inspect.StrType | inspect.DateTimeType)
    return is_plain or any(isinstance(one, str) for one in choices(kind))


def _is_table(kind: inspect.Type) -> bool:
    return any(isinstance(one, _TABLES) for one in alternatives(kind))


def _is_compound(kind: inspect.Type) -> bool:
    return isinstance(
        kind, inspect.StructType | inspect.DictType | inspect.CollectionType | inspect.TupleType
    )


def _flat(name: str) -> str:
    return name.replace(BETWEEN, "_")
