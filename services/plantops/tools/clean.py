"""Texts that the plant wrote, made fit to be shown to a person or a model: what cannot be seen goes, visibly.

Taken out are control and format characters (zero-width, bidirectional, tags), private-use, unassigned and
surrogate code points, and what is drawn as nothing (`Default_Ignorable_Code_Point`, Unicode 15, 5.21). Each
run of them becomes one U+FFFD, so that nobody can hide a word, nor that something was hidden. Line ends and
odd spaces become a plain space: a text cannot draw lines that look like ours. What remains is in normal form
NFC. The meaning of a text is not judged here: a clean text is still no instruction.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any, Final

MAX_TEXT: Final = 2000
"""Characters of one text, the mark of a cut included."""

CUT: Final = " …[cut]"
"""How a text ends that was longer."""

GONE: Final = "\ufffd"

MAX_DEPTH: Final = 64

# Drawn as nothing though their category says letter, mark or symbol.
_UNSEEN: Final = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}).union(
    range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0000, 0xE1000)
)
_SPACES: Final = "\t\n\v\f\r\x85"
_PLAIN: Final = re.compile(r"[ -~]*")


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """At most `limit` characters; a cut is marked. Cleaning twice changes nothing more."""
    if len(text) <= limit and _PLAIN.fullmatch(text):
        return text
    # What the limit cannot hold anyway is not looked at: a long text costs no more than a short one.
    head = text[: 4 * limit]
    seen = _seen(unicodedata.normalize("NFC", head), keeps_lines=False)
    if len(seen) <= limit and len(head) == len(text):
        return seen
    return seen[: max(0, limit - len(CUT))] + CUT


def is_exact(text: str) -> bool:
    """Whether nothing would be taken out of the text but its line ends; its length does not matter."""
    return _PLAIN.fullmatch(text) is not None or (
        unicodedata.is_normalized("NFC", text) and _seen(text, keeps_lines=True) == text
    )


def clean_value(value: Any, limit: int = MAX_TEXT) -> Any:
    """Every text in what JSON can hold, keys too, however deep; a number that JSON cannot hold becomes None.

    Keys that are equal once they are clean stay apart. Raises: ValueError when it is nested too deeply.
    """
    return _clean(value, limit, MAX_DEPTH)


def _clean(value: Any, limit: int, depth: int) -> Any:
    if depth == 0:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    match value:
        case str():
            return clean_text(value, limit)
        case dict():
            cleaned: dict[Any, Any] = {}
            for key, inner in value.items():
                cleaned[_own_key(key, limit, cleaned)] = _clean(inner, limit, depth - 1)
            return cleaned
        case list() | tuple():
            return [_clean(inner, limit, depth - 1) for inner in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value


def _own_key(key: Any, limit: int, taken: dict[Any, Any]) -> Any:
    if not isinstance(key, str):
        return key
    cleaned = clean_text(key, limit)
    while cleaned in taken:
        cleaned += GONE
    return cleaned


def _seen(text: str, *, keeps_lines: bool) -> str:
    kept: list[str] = []
    is_gone = False
    for character in text:
        shown = _shown(character, keeps_lines=keeps_lines)
        if shown != GONE or not is_gone or character == GONE:
            kept.append(shown)
        is_gone = shown == GONE and character != GONE
    return "".join(kept)


def _shown(character: str, *, keeps_lines: bool) -> str:
    if " " <= character <= "~":
        return character
    if keeps_lines and character == "\n":
        return character
    category = unicodedata.category(character)
    if character in _SPACES or category in ("Zs", "Zl", "Zp"):
        return " "
    return GONE if category[0] == "C" or ord(character) in _UNSEEN else character
