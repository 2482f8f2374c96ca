"""Every setting with its value and who said it, as `plantops config show` prints them; secrets are masked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import inspect

from plantops.deployment.place import Place
from plantops.deployment.settings import SiteSettings
from plantops.deployment.variables import VARIABLES
from plantops.runtime.kinds import alternatives, is_secret
from plantops.runtime.secrets import REFERENCE_KINDS
from plantops.runtime.settings import lines_in
from plantops.runtime.toml_lines import Place as Keys
from plantops.runtime.variables import giver

Source: TypeAlias = Literal["default", "file", "environment"]
MASK: Final = "***"
# What stands before the @ of an address is a name, a password or a token (RFC 3986, 3.2.1).
_USER_INFORMATION: Final = re.compile(r"(?<=://)[^/?#@\s]*(?:@[^/?#@\s]*)*(?=@)")


class Effective(msgspec.Struct, frozen=True):
    """One setting. `place` is `FILE:LINE` or the variable that said it, "" for a default; `variable` is the
    one that could, "" within a map."""

    key: str
    value: Any
    source: Source
    place: str
    variable: str


def effective(place: Place) -> tuple[Effective, ...]:
    """All settings of a site, in the order of their structs; each entry of a map by itself."""
    lines = lines_in(place.folder.settings)
    values = msgspec.to_builtins(place.settings)
    found = []
    for keys, value in _leaves((), values, inspect.type_info(SiteSettings)):
        source, said = _said(place, keys, lines)
        found.append(Effective(".".join(map(str, keys)), value, source, said, VARIABLES.of(keys)))
    return tuple(found)


def _said(place: Place, keys: Keys, lines: dict[Keys, int]) -> tuple[Source, str]:
    if name := giver(keys, place.given):
        return "environment", name
    if keys in lines:
        return "file", f"{place.folder.settings}:{lines[keys]}"
    return "default", ""


def _leaves(keys: Keys, value: Any, kind: inspect.Type) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, dict) and value:
        for each in alternatives(kind):
            if isinstance(each, inspect.StructType):
                for one in each.fields:
                    yield from _leaves((*keys, one.encode_name), value[one.encode_name], one.type)
                return
            if isinstance(each, inspect.DictType):
                for name, inner in value.items():
                    yield from _leaves((*keys, name), inner, each.value_type)
                return
    yield keys, masked(value) if is_secret(kind) else _without_passwords(value)


def masked(value: Any) -> Any:
    """A reference to a secret as it is, and nothing of a secret that stands there itself."""
    is_reference = isinstance(value, str) and value.partition(":")[0] in REFERENCE_KINDS and ":" in value
    return value if is_reference or not value else MASK


def _without_passwords(value: Any) -> Any:
    return _USER_INFORMATION.sub(MASK, value) if isinstance(value, str) else value
