"""Which asset is meant: "pump-001", "pump 1", "the pump". Nothing is taken for what is nearly the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from plantops.agent.models.rules.catalogue import words_of
from plantops.agent.models.rules.text import Token, words

_NUMBERED: Final = re.compile(r"(?P<noun>[a-z][a-z_-]*?)[-_]?0*(?P<number>[0-9]+)")
_PRONOUNS: Final = words("it them this that these those")
_ALL: Final = frozenset(["all", "everything", "every", "each", "both"])
_HASHES: Final = ("#", "no", "nr", "number", "no.", "nr.")


@dataclass(frozen=True, slots=True)
class Mention:
    """Tokens `start` up to `end` name one of `assets`: several share a noun, none has an unknown number."""

    start: int
    end: int
    assets: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True)
class Named:
    """What a clause says of assets. `is_pronoun`: "it"; `is_all`: "everything", "all pumps"."""

    mentions: tuple[Mention, ...] = ()
    is_pronoun: bool = False
    is_all: bool = False

    @property
    def assets(self) -> frozenset[str] | None:
        """Those that fit every mention; None when no asset is mentioned."""
        if not self.mentions:
            return None
        sets = [mention.assets for mention in self.mentions]
        return frozenset.intersection(*sets)

    @property
    def places(self) -> frozenset[int]:
        """The tokens that name them."""
        return frozenset(place for one in self.mentions for place in range(one.start, one.end))


class Assets:
    """The assets of the catalogue, found in a person's words by name, or by noun and number."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(dict.fromkeys(name for name in names if name))
        self._by_name = {name.lower(): name for name in self.names}
        self._by_noun: dict[str, dict[int | None, list[str]]] = {}
        for name in self.names:
            noun, number = _split(name.lower())
            self._by_noun.setdefault(noun, {}).setdefault(number, []).append(name)

    def named(self, tokens: tuple[Token, ...]) -> Named:
        """What the tokens say of assets."""
        mentions: list[Mention] = []
        position = 0
        while position < len(tokens):
            mention = self._at(tokens, position)
            if mention is not None:
                mentions.append(mention)
            position = mention.end if mention is not None else position + 1
        texts = {token.text for token in tokens if token.kind == "word"}
        return Named(tuple(mentions), bool(texts & _PRONOUNS), bool(texts & _ALL))

    def _at(self, tokens: tuple[Token, ...], start: int) -> Mention | None:
        token = tokens[start]
        if token.kind != "word":
            return None
        if (exact := self._by_name.get(token.text)) is not None:
            return Mention(start, start + 1, frozenset({exact}), exact)
        head = re.split(r"[./]|__", token.text)[0]
        if head != token.text and (exact := self._by_name.get(head)) is not None:
            # "pump-001.speed": what stands behind the dot is looked at by others.
            return Mention(start, start + 1, frozenset({exact}), exact)
        noun, number = _split(token.text)
        numbers = self._by_noun.get(noun) or self._by_noun.get(_singular(noun))
        if numbers is None:
            return None
        if number is not None:
            return Mention(start, start + 1, frozenset(numbers.get(number, ())), token.text)
        return _with_number(tokens, start, numbers)


def _with_number(tokens: tuple[Token, ...], start: int, numbers: dict[int | None, list[str]]) -> Mention:
    """A noun, and the number behind it: one without unit or decimals is the asset's."""
    every = frozenset(name for names in numbers.values() for name in names)
    end = start + 1
    while end < len(tokens) and tokens[end].text in _HASHES:
        end += 1
    if end >= len(tokens) or not _is_index(tokens, end):
        return Mention(start, start + 1, every, tokens[start].text)
    found = numbers.get(int(tokens[end].text), ())
    return Mention(start, end + 1, frozenset(found), f"{tokens[start]} {tokens[end]}")


def _is_index(tokens: tuple[Token, ...], at: int) -> bool:
    token = tokens[at]
    if token.kind != "figure" or token.glued or not token.text.isdecimal():
        return False
    behind = tokens[at + 1] if at + 1 < len(tokens) else None
    # "set pump 1200 rpm": that has a unit and is no number of a pump.
    return behind is None or behind.text not in ("rpm", "%", "percent", "hz", "°c", "bar", "thousand")


def _split(name: str) -> tuple[str, int | None]:
    match = _NUMBERED.fullmatch(name)
    if match is None:
        return "-".join(words_of(name)) or name, None
    return match["noun"].strip("-_"), int(match["number"])


def _singular(noun: str) -> str:
    return noun.removesuffix("s")
