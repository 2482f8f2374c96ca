"""The arguments of an operation from figures and words of a clause. A doubt is a question, never a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from plantops.agent.models.rules.catalogue import Argument, plain
from plantops.agent.models.rules.numbers import Figure, figure_at
from plantops.agent.models.rules.text import Token
from plantops.agent.models.rules.units import converted, unit_named
from plantops.events.base import Scalar

_TRUE: Final = frozenset(["true", "yes", "on", "enabled"])
_FALSE: Final = frozenset(["false", "no", "off", "disabled"])


@dataclass(slots=True)
class Filling:
    """What was found: `values` by argument, the places of tokens that they took, or a question."""

    values: dict[str, Scalar] = field(default_factory=dict)
    places: set[int] = field(default_factory=set)
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """A figure and the tokens that it takes; `name` is the argument that stands before it, "" for none."""

    figure: Figure
    start: int
    end: int
    name: str = ""


def fill(
    arguments: Sequence[Argument], tokens: tuple[Token, ...], taken: frozenset[int], title: str
) -> Filling:
    """Values for `arguments` from the tokens that are not `taken`."""
    filling = Filling()
    figures = _figures(arguments, tokens, taken)
    numeric = [argument for argument in arguments if argument.is_number]
    for worded in arguments:
        if not worded.is_number:
            _fill_word(filling, worded, tokens, taken)
    for placed in figures:
        filling.places.update(range(placed.start, placed.end))
        if filling.doubt:
            continue
        argument = _meant(numeric, placed, figures, filling.values)
        if argument is None:
            filling.doubt = _too_many(numeric, figures, title)
            continue
        value, doubt = value_of(argument, placed.figure, title)
        filling.doubt = filling.doubt or doubt
        if value is not None:
            filling.values[argument.name] = value
    if not filling.doubt:
        filling.doubt = _missing(arguments, filling.values, title)
    return filling


def value_of(argument: Argument, figure: Figure, title: str) -> tuple[Scalar | None, str]:
    """The value that a figure means for an argument, or a question to who said it."""
    if not figure.readings:
        return None, f"I cannot read {figure.written!r} as one number. Please write it plainly, such as 1200."
    readings = [_in_unit(argument, figure, reading) for reading in figure.readings]
    if any(reading is None for reading in readings) or _is_kelvin_or_thousand(argument, figure):
        return None, _wrong_unit(argument, figure, title)
    known = tuple(reading for reading in readings if reading is not None)
    # Nobody writes a whole number with three decimals: of two readings the larger is the whole one.
    broken = min(known, key=abs) if argument.kind == "integer" and len(known) > 1 else None
    meant = Figure(figure.written, known, figure.unit).settled(
        lambda value: value != broken and _fits(argument, value)
    )
    if meant is None and len(known) > 1 and any(_fits(argument, value) for value in known):
        choices = " or ".join(plain(value) for value in known)
        return None, f"{figure.written!r} can mean {choices}. Which one is meant for {title}?"
    if meant is None:
        return None, _out_of_range(argument, known[0], title)
    return (int(meant) if argument.kind == "integer" else _number(meant)), ""


def _figures(
    arguments: Sequence[Argument], tokens: tuple[Token, ...], taken: frozenset[int]
) -> tuple[Placed, ...]:
    names = {argument.name.lower(): argument.name for argument in arguments}
    found: list[Placed] = []
    position = 0
    while position < len(tokens):
        if position in taken or tokens[position].kind != "figure":
            position += 1
            continue
        figure, end = figure_at(tokens, position)
        before = [token.text for token in tokens[max(0, position - 2) : position]]
        name = next((names[word] for word in reversed(before) if word in names), "")
        found.append(Placed(figure, position, end, name))
        position = end
    return tuple(found)


def _meant(
    numeric: Sequence[Argument], placed: Placed, figures: Sequence[Placed], values: Mapping[str, Scalar]
) -> Argument | None:
    """By its name; else the only argument for the only figure; else the only one that the unit fits."""
    if placed.name:
        return next((one for one in numeric if one.name == placed.name and one.name not in values), None)
    if len(numeric) == 1 and len(figures) == 1:
        return numeric[0]
    unit = placed.figure.unit
    fitting = [
        one for one in numeric if unit and one.unit and converted(Fraction(1), unit, one.unit) is not None
    ]
    alike = [one for one in figures if one.figure.unit == unit]
    if len(fitting) == 1 and len(alike) == 1 and fitting[0].name not in values:
        return fitting[0]
    return None


def _fill_word(
    filling: Filling, argument: Argument, tokens: tuple[Token, ...], taken: frozenset[int]
) -> None:
    choices = _choices(argument)
    found: dict[int, Scalar] = {}
    for place, token in enumerate(tokens):
        if place in taken:
            continue
        if token.kind == "quoted" and argument.kind == "string" and not argument.choices:
            found[place] = token.text
        elif token.text in choices:
            found[place] = choices[token.text]
    different = set(found.values())
    if len(different) > 1:
        filling.doubt = f"{argument.name} can only be one of {', '.join(map(str, different))}. Which one?"
    elif different:
        filling.values[argument.name] = different.pop()
        filling.places.update(found)


def _choices(argument: Argument) -> Mapping[str, Scalar]:
    if argument.choices:
        return {str(choice).lower(): choice for choice in argument.choices}
    if argument.kind == "boolean":
        return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}
    return {}


def _in_unit(argument: Argument, figure: Figure, reading: Fraction) -> Fraction | None:
    if not figure.unit:
        return reading
    return converted(reading, figure.unit, argument.unit) if argument.unit else None


def _is_kelvin_or_thousand(argument: Argument, figure: Figure) -> bool:
    unit = unit_named(argument.unit)
    return figure.written.endswith("k") and unit is not None and unit.dimension == "temperature"


def _fits(argument: Argument, value: Fraction) -> bool:
    if argument.kind == "integer" and value.denominator != 1:
        return False
    if argument.choices and value not in [_as_fraction(choice) for choice in argument.choices]:
        return False
    return not (
        (argument.low is not None and value < argument.low)
        or (argument.high is not None and value > argument.high)
    )


def _as_fraction(choice: object) -> Fraction | None:
    return Fraction(str(choice)) if isinstance(choice, int | float) else None


def _number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _wrong_unit(argument: Argument, figure: Figure, title: str) -> str:
    wanted = f"is in {argument.unit}" if argument.unit else "has no unit that I know"
    return (
        f"{argument.name} of {title} {wanted}, and {figure.written!r} does not convert to that."
        f" Please say it as {argument.range_text()}."
    )


def _out_of_range(argument: Argument, value: Fraction, title: str) -> str:
    if argument.kind == "integer" and value.denominator != 1:
        return f"{argument.name} of {title} takes whole numbers only, not {plain(value)}. Which one is meant?"
    if argument.choices:
        return f"{argument.name} of {title} takes one of {', '.join(map(str, argument.choices))}."
    return f"{plain(value)} is outside of what {argument.name} of {title} takes: {argument.range_text()}."


def _too_many(numeric: Sequence[Argument], figures: Sequence[Placed], title: str) -> str:
    written = ", ".join(repr(placed.figure.written) for placed in figures)
    if not numeric:
        return f"{title} takes no number, and you said {written}. What is meant?"
    names = ", ".join(f"{argument.name}=…" for argument in numeric)
    return f"I cannot tell which of {written} is meant for {title}. Please write {names}."


def _missing(arguments: Sequence[Argument], values: Mapping[str, Scalar], title: str) -> str:
    missing = [one for one in arguments if one.is_required and one.name not in values]
    if not missing:
        return ""
    wanted = []
    for one in missing:
        if one.is_number:
            wanted.append(f"{one.name} ({one.range_text()})")
        elif one.choices:
            wanted.append(f"{one.name} (one of {', '.join(map(str, one.choices))})")
        else:
            wanted.append(f"{one.name} ({'true or false' if one.kind == 'boolean' else 'a text in quotes'})")
    return f"{title} needs {' and '.join(wanted)}. Which value?"
