"""Figures as people write them, with every reading that they can have.

"1,200" is 1200 to an English reader and 1.2 to a German one, "1.200" the other way about. Both readings are
kept; `settled` takes one only where type and range leave the customary English one alone. Where both fit, or
only the less customary one, a person is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from plantops.agent.models.rules.text import Token
from plantops.agent.models.rules.units import LONGEST, UNITS

_PLAIN: Final = re.compile(r"[0-9]+")
_GROUPED: Final = re.compile(r"[1-9][0-9]{0,2}(?:(['_\u00a0,.])[0-9]{3})(?:\1[0-9]{3})*")
_MIXED: Final = re.compile(
    r"(?P<whole>[1-9][0-9]{0,2}(?:(['_\u00a0,.])[0-9]{3})+)(?P<mark>[.,])(?P<rest>[0-9]+)"
)
_DECIMAL: Final = re.compile(r"(?P<whole>[0-9]*)(?P<mark>[.,])(?P<rest>[0-9]+)")
_EXPONENT: Final = re.compile(r"(?P<mantissa>.*?)(?:e(?P<power>[+-]?[0-9]+))?", re.DOTALL)
_THOUSAND: Final = ("k", "thousand")
_MOST_DIGITS: Final = 24
_MOST_POWER: Final = 24


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as it was written. `readings` are what it may mean, the customary one first; none: no number.

    `unit` is what stood behind it ("" for none), known or not.
    """

    written: str
    readings: tuple[Fraction, ...]
    unit: str = ""

    def settled(self, fits: Callable[[Fraction], bool]) -> Fraction | None:
        """The one meaning: the customary reading, if it fits and no other does."""
        fitting = [reading for reading in self.readings if fits(reading)]
        return fitting[0] if len(fitting) == 1 and fitting[0] == self.readings[0] else None


def readings_of(text: str) -> tuple[Fraction, ...]:
    """What figures (without unit) can mean, the customary English meaning first; () for no number."""
    sign = -1 if text.startswith("-") else 1
    match = _EXPONENT.fullmatch(text[1:] if text[:1] in ("+", "-") else text)
    if match is None or sum(letter.isdigit() for letter in text) > _MOST_DIGITS:
        return ()
    power = int(match["power"] or 0)
    if abs(power) > _MOST_POWER:
        return ()
    scale = Fraction(10) ** power * sign
    return tuple(dict.fromkeys(reading * scale for reading in _unsigned(match["mantissa"])))


def _unsigned(text: str) -> tuple[Fraction, ...]:
    if _PLAIN.fullmatch(text):
        return (Fraction(text),)
    if (mixed := _MIXED.fullmatch(text)) is not None and mixed["mark"] not in mixed["whole"]:
        return (Fraction(f"{re.sub('[^0-9]', '', mixed['whole'])}.{mixed['rest']}"),)
    readings: list[Fraction] = []
    decimal = _DECIMAL.fullmatch(text)
    if decimal is not None:
        readings.append(Fraction(f"{decimal['whole'] or '0'}.{decimal['rest']}"))
    if (grouped := _GROUPED.fullmatch(text)) is not None:
        thousands = Fraction(re.sub("[^0-9]", "", text))
        # The comma is the English mark of thousands, the point that of decimals.
        readings.insert(0 if grouped[1] == "," else len(readings), thousands)
    return tuple(readings)


def figure_at(tokens: tuple[Token, ...], start: int) -> tuple[Figure, int]:
    """The figure that begins at `start`, with factor and unit, and where the next token stands.

    Figures that follow each other without a word between ("1 200") are none: they may be one or two.
    """
    token = tokens[start]
    end = start + 1
    readings = readings_of(token.text)
    glued, factor = _factor(token.glued)
    if not glued and factor == 1 and end < len(tokens) and tokens[end].text in _THOUSAND[1:]:
        factor, end = 1000, end + 1
    unit = glued
    if not glued:
        unit, end = _unit_at(tokens, end)
    written = " ".join(str(each) for each in tokens[start:end])
    if end < len(tokens) and tokens[end].kind == "figure" and not unit and factor == 1:
        return Figure(f"{written} {tokens[end]}", (), ""), end + 1
    return Figure(written, tuple(reading * factor for reading in readings), unit), end


def _factor(glued: str) -> tuple[str, int]:
    """Split "k" and "krpm" into factor and unit; "k" alone is a thousand, not kelvin, as people write it."""
    if glued == "k":
        return "", 1000
    if glued.startswith("k") and glued not in UNITS and glued[1:] in UNITS:
        return glued[1:], 1000
    return glued, 1


def _unit_at(tokens: tuple[Token, ...], start: int) -> tuple[str, int]:
    for length in range(LONGEST, 0, -1):
        several = tokens[start : start + length]
        name = " ".join(token.text for token in several)
        if len(several) == length and name in UNITS and not _is_other_word(name):
            return name, start + length
    return "", start


def _is_other_word(name: str) -> bool:
    """Letters that stand for a unit only when they are glued to the figure: "set it to 5 a bit later"."""
    return name in ("a", "c", "d", "f", "k", "t", "revs")
