"""Words of people as the search compares them: split, without their endings, with others that mean the same.

A small table of plant English is enough here: names and descriptions are short, and what it misses is found
by name. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[0-9])")
MOST_WORDS: Final = 200

# Say nothing of what is wanted.
_EMPTY_WORDS: Final = (
    "a an and any are at be can could do does for from have how i if in is it its me my now of on or our",
    "please shall should so tell that the their them there these this to us was we were what when where",
    "which who why will with would you your",
)
_EMPTY: Final = frozenset(word for line in _EMPTY_WORDS for word in line.split())

# Each line: words that people say for one thing. A word may stand in several lines.
_SAME: Final = (
    "stop halt off shutdown shut switchoff emergency trip kill end",
    "start run on begin launch resume",
    "speed rpm revolution rotation fast slow faster slower quick frequency",
    "set change adjust put make bring write setpoint",
    "increase raise up higher more",
    "decrease lower down reduce less",
    "open",
    "close shut",
    "position opening travel",
    "reset clear acknowledge fault",
    "temperature hot cold heat warm degree",
    "pressure bar",
    "level fill tank full empty",
    "flow throughput",
    "value reading measurement current state tag signal",
    "history trend past earlier before yesterday hour average over time",
    "source adapter device connection gateway plc controller",
    "health healthy alive down broken working fault quality",
    "command order job request operation",
    "approval approve pending waiting sign confirm",
    "policy rule allowed allow permitted permission denied deny refused gate reason explain",
    "audit proof prove evidence record log tamper",
    "find search look list show available",
    "alarm alert warning event",
    "browse node address space discover",
)


def words_of(text: str) -> list[str]:
    """The words of a text in their order, folded and shortened; the first 200."""
    found: list[str] = []
    for part in _WORD.findall(unicodedata.normalize("NFKC", text)[:8000]):
        pieces = _HUMP.sub(" ", part).split()
        found += (_short(piece.casefold()) for piece in pieces if piece.casefold() not in _EMPTY)
    return found[:MOST_WORDS]


def meant(words: Iterable[str]) -> dict[str, float]:
    """The words asked for, and what means the same, with how much each counts."""
    weights: dict[str, float] = {}
    for word in words:
        weights[word] = 1.0
        for other in _OTHERS.get(word, ()):
            weights.setdefault(other, 0.4)
    return weights


def _short(word: str) -> str:
    """Without the endings of plural and verb; the same for each form, whether it is a word or not."""
    for ending, least in (("ing", 6), ("ies", 5), ("ed", 5), ("es", 5), ("s", 4)):
        if word.endswith(ending) and len(word) >= least and not word.endswith(("ss", "eed")):
            word = word[: -len(ending)] + ("y" if ending == "ies" else "")
            break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]  # stopping, stopp -> stop
    return word.removesuffix("e") if len(word) > 3 else word


def _others() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for line in _SAME:
        words = [_short(word) for word in line.split()]
        for word in words:
            found.setdefault(word, set()).update(other for other in words if other != word)
    return MappingProxyType({word: tuple(sorted(others)) for word, others in found.items()})


_OTHERS: Final = _others()
