"""What a client of the live events wants to hear, and where it is in the two logs. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from plantops.events.base import is_token

Form: TypeAlias = Literal["sse", "ws"]

TAGS: Final = "tag.changed"
"""The type under which changed tags are told: not an event of a stream, but what the twin knows now."""

MAX_NAMES: Final = 200
_POSITION: Final = re.compile(r"(?:c(\d{1,18}))?-?(?:t(\d{1,18}))?")
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,40}(\.[a-z][a-z0-9_]{0,40})?")
_TAG: Final = re.compile(r"[^\s,*]{1,256}\*?|\*")


class Position(NamedTuple):
    """Up to where a client has heard: sequences of COMMANDS and of TAGS; None: not told."""

    commands: int | None = None
    tags: int | None = None

    def __str__(self) -> str:
        parts = [f"{mark}{number}" for mark, number in zip("ct", self, strict=True) if number is not None]
        return "-".join(parts)

    @classmethod
    def parse(cls, text: str) -> Position:
        """`c12-t345`, `c12`, `t345`, or a bare number, which is of COMMANDS. Raises: ValueError."""
        if text.isascii() and text.isdigit() and len(text) <= 18:
            return cls(int(text), None)
        found = _POSITION.fullmatch(text)
        if found is None or text.startswith("-") or text.endswith("-"):
            raise ValueError(f"{text[:60]!r} is no position: it looks like c12-t345")
        commands, tags = found.groups()
        return cls(None if commands is None else int(commands), None if tags is None else int(tags))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Empty means everything. `types` are whole types or families (`command`, `tag`); `assets` bound both
    commands and tags; `tags` are names, or beginnings with `*` behind, and bound tags alone."""

    types: frozenset[str] = frozenset()
    assets: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    form: Form = "sse"

    @classmethod
    def parse(cls, types: str, assets: str, tags: str, form: Form) -> Wanted:
        """From lists with commas. Raises: ValueError naming what cannot stand there."""
        return cls(
            _names(types, "type", lambda text: _TYPE.fullmatch(text) is not None),
            _names(assets, "asset", is_token),
            _names(tags, "tag", lambda text: _TAG.fullmatch(text) is not None),
            form,
        )

    @property
    def has_tags(self) -> bool:
        """Whether changed tags are wanted."""
        return self.wants_type(TAGS)

    @property
    def has_commands(self) -> bool:
        """Whether anything else is."""
        return not self.types or any(each not in ("tag", TAGS) for each in self.types)

    def wants_type(self, kind: str) -> bool:
        """By its whole name or its family."""
        return not self.types or kind in self.types or kind.partition(".")[0] in self.types

    def wants_command(self, kind: str, asset: str) -> bool:
        """`asset` is "" where nobody knows it: then it is told, not dropped."""
        return self.wants_type(kind) and (not self.assets or not asset or asset in self.assets)


class TagFilter:
    """Which tags a `Wanted` means, by the model's properties; each name is looked at once."""

    def __init__(self, wanted: Wanted, properties: Mapping[str, Iterable[str]]) -> None:
        """`properties`: the tags of each asset."""
        self._exact = {tag for tag in wanted.tags if not tag.endswith("*")}
        self._begins = tuple(tag.removesuffix("*") for tag in wanted.tags if tag.endswith("*"))
        self._of_assets = {tag for asset in wanted.assets for tag in properties.get(asset, ())}
        self._wanted = wanted
        self._known: dict[str, bool] = {}

    def wants(self, tag: str) -> bool:
        found = self._known.get(tag)
        if found is None:
            found = self._known[tag] = self._judge(tag)
        return found

    def _judge(self, tag: str) -> bool:
        if self._wanted.assets and tag not in self._of_assets:
            return False
        return not self._wanted.tags or tag in self._exact or tag.startswith(self._begins)


def _names(text: str, what: str, is_good: Callable[[str], bool]) -> frozenset[str]:
    names = [each.strip() for each in text.split(",") if each.strip()]
    if len(names) > MAX_NAMES:
        raise ValueError(f"{len(names)} names of a {what}: at most {MAX_NAMES} are taken")
    for name in names:
        if not is_good(name):
            raise ValueError(f"{name[:60]!r} is no {what}")
    return frozenset(names)
