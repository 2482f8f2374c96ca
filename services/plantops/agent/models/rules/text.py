"""A person's words as tokens: words, figures, quoted text and marks. Nothing is interpreted here.

Only ASCII digits make figures: another script's digits, superscripts and fractions stay unknown signs, so
that nobody's number is read as a smaller or a larger one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["word", "figure", "quoted", "mark"]

_SAME: Final = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u00b4`"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u00ab\u00bb"), '"'),
    **dict.fromkeys(map(ord, "\u2212\u2010\u2011\u2012\u2013\u2014"), "-"),
    **dict.fromkeys(map(ord, "\u202f\u2009"), "\u00a0"),
    **dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"), None),
    ord("\u2026"): "...",
    ord("\u2126"): "ohm",
    ord("\u03bc"): "\u00b5",
}
_LONG: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), long)
    for pattern, long in (
        (r"\b(?:can't|cannot|cant)\b", "can not"),
        (r"\b(?:won't|wont)\b", "will not"),
        (r"\bshan't\b", "shall not"),
        (r"\b(do|does|did|is|are|was|were|should|could|would|has|have|had|must|need)n'?t\b", r"\1 not"),
        (r"\bain't\b", "is not"),
        (r"\b(what|how|where|who|it|that|there|here|why|when)'?s(?=\s)", r"\1 is"),
        (r"\b(i|you|we|they|he|she|it)'d\b", r"\1 would"),
        (r"\b(i|you|we|they|it)'ll\b", r"\1 will"),
        (r"\bi'm\b", "i am"),
        (r"\b(you|we|they|what)'re\b", r"\1 are"),
        (r"\b(i|you|we|they)'ve\b", r"\1 have"),
        (r"\blet's\b", "let us"),
        (r"\bgonna\b", "going to"),
        (r"\bwanna\b", "want to"),
        (r"\b(\w+)'s\b", r"\1"),
    )
)
# "its" and "whats" stay apart: only the latter is short for two words.
_WHATS: Final = re.compile(r"\bit is\b(?=\s+(?:speed|level|temperature|state|status|value|position))")

# Most sentences have nothing of the kind, and all the patterns take longer than the rest.
_MAY_BE_SHORT: Final = re.compile(
    r"'|\b(?:cannot|cant|wont|(?:do|does|did|is|are|was|were|should|could|would|has|have|had|must|need)nt"
    r"|whats|hows|wheres|whos|its|thats|theres|heres|whens|whys|wanna|gonna)\b"
)
_FIGURE = (
    r"[+-]?(?:[0-9]+(?:[.,'_\u00a0][0-9]+)*|[.,][0-9]+)"
    r"(?:e[+-]?[0-9]+(?![a-z0-9]))?"
)
# What is glued to a figure belongs to it, whatever it is: a unit, a factor, or something that makes it none.
_GLUED = r"(?:[^\s.,;:!?()\[\]{}\"'=<>&|-]|[.,'](?=[^\s.,;:!?'\"])|-(?=[a-z]))*"
_TOKEN: Final = re.compile(
    r"(?P<quoted>\"[^\"]*\")"
    rf"|(?P<figure>(?<![0-9a-z.,]){_FIGURE}(?P<glued>{_GLUED}))"
    r"|(?P<word>(?:[°µ](?=\w))?[^\W\d](?:\w|[-./](?=\w))*)"
    r"|(?P<mark>\.\.\.|[^\s])"
)


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is lower case. Of a figure, `glued` is what followed without a space ("" for none)."""

    kind: Kind
    text: str
    glued: str = ""

    def __str__(self) -> str:
        return self.text + self.glued


def tokens_of(text: str) -> tuple[Token, ...]:
    """The tokens in their order; contractions are written out."""
    plain = text.translate(_SAME).lower()
    if _MAY_BE_SHORT.search(plain):
        for short, long in _LONG:
            plain = short.sub(long, plain)
        plain = _WHATS.sub("its", plain)
    return tuple(_token(match) for match in _TOKEN.finditer(plain))


def said(tokens: tuple[Token, ...]) -> str:
    """The tokens as a person may read them again."""
    words: list[str] = []
    for token in tokens:
        if words and token.kind == "mark" and token.text in ",.;:!?%)":
            words[-1] += token.text
        else:
            words.append(str(token))
    return " ".join(words)


def words(text: str) -> frozenset[str]:
    """The words of a list that is written as one text."""
    return frozenset(text.split())


def is_word(token: Token, *words: str) -> bool:
    """Whether the token is one of these words."""
    return token.kind == "word" and token.text in words


def find(tokens: tuple[Token, ...], *phrase: str) -> int:
    """Where these tokens follow each other; -1 when they do not."""
    for start in range(len(tokens) - len(phrase) + 1):
        if all(tokens[start + offset].text == text for offset, text in enumerate(phrase)):
            return start
    return -1


def _token(match: re.Match[str]) -> Token:
    if (quoted := match["quoted"]) is not None:
        return Token("quoted", quoted[1:-1])
    if match["figure"] is not None:
        glued = match["glued"]
        return Token("figure", match["figure"][: len(match["figure"]) - len(glued)], glued)
    if match["word"] is not None:
        return Token("word", match["word"])
    return Token("mark", match["mark"])
