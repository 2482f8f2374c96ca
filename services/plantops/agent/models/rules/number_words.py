"""Numbers in words, made figures: "twelve hundred" is 1200. What does not add up stays words."""

from __future__ import annotations

from typing import Final

from plantops.agent.models.rules.text import Token

_ONES: Final = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS: Final = {
    word: 10 * value
    for value, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
_WORDS: Final = frozenset((*_ONES, *_TENS, "hundred", "thousand"))
# "this one", "which one": no number.
_POINTING: Final = ("this", "that", "the", "which", "first", "second", "last", "other", "no", "any", "each")


def with_figures(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """The same tokens with each run of number words as one figure."""
    found: list[Token] = []
    position = 0
    while position < len(tokens):
        run = _run(tokens, position)
        value = _value([word for token in run for word in token.text.split("-") if word != "and"])
        if value is None or (len(run) == 1 and run[0].text == "one" and _points(found)):
            found.append(tokens[position])
            position += 1
            continue
        found.append(Token("figure", str(value)))
        position += len(run)
    return tuple(found)


def _run(tokens: tuple[Token, ...], start: int) -> tuple[Token, ...]:
    end = start
    while end < len(tokens) and _belongs(tokens, start, end):
        end += 1
    return tokens[start:end]


def _belongs(tokens: tuple[Token, ...], start: int, at: int) -> bool:
    token = tokens[at]
    if token.kind != "word":
        return False
    if all(word in _WORDS for word in token.text.split("-")):
        return True
    # "two hundred and five": the "and" is part of it only behind a hundred or a thousand.
    return (
        token.text == "and"
        and at > start
        and tokens[at - 1].text in ("hundred", "thousand")
        and at + 1 < len(tokens)
        and all(word in (*_ONES, *_TENS) for word in tokens[at + 1].text.split("-"))
    )


def _points(before: list[Token]) -> bool:
    return bool(before) and before[-1].text in _POINTING


def _value(words: list[str]) -> int | None:
    if not words:
        return None
    thousands = [index for index, word in enumerate(words) if word == "thousand"]
    if len(thousands) > 1:
        return None
    if not thousands:
        return _below_ten_thousand(words)
    head = _below_ten_thousand(words[: thousands[0]]) if thousands[0] else 1
    tail = _below_ten_thousand(words[thousands[0] + 1 :]) if words[thousands[0] + 1 :] else 0
    return None if head is None or tail is None or tail > 999 else 1000 * head + tail


def _below_ten_thousand(words: list[str]) -> int | None:
    if words.count("hundred") > 1:
        return None
    if "hundred" not in words:
        return _below_hundred(words)
    at = words.index("hundred")
    head = _below_hundred(words[:at]) if at else 1
    tail = _below_hundred(words[at + 1 :]) if words[at + 1 :] else 0
    return None if head is None or tail is None or head == 0 else 100 * head + tail


def _below_hundred(words: list[str]) -> int | None:
    match words:
        case [one] if one in _ONES:
            return _ONES[one]
        case [ten] if ten in _TENS:
            return _TENS[ten]
        case [ten, one] if ten in _TENS and 0 < _ONES.get(one, 0) < 10:
            return _TENS[ten] + _ONES[one]
        case _:
            return None
