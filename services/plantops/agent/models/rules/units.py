"""Units as people write them, and which of them are the same thing in another measure.

Conversions are exact (fractions), and only such that hold everywhere: a supply frequency is no speed before
somebody says how many poles the motor has, and a percentage is of nothing but itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final


@dataclass(frozen=True, slots=True)
class Unit:
    """`value * factor + offset` is in the base unit of `dimension`."""

    name: str
    dimension: str
    factor: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)


def _units() -> dict[str, Unit]:
    known: dict[str, Unit] = {}
    for names, dimension, factor, offset in _TABLE:
        unit = Unit(names.split()[0], dimension, Fraction(factor), Fraction(offset))
        known |= {name.replace("~", " "): unit for name in names.split()}
    return known


# The first name of a line is the one shown. UCUM codes stand among the others; all are compared in lower
# case, so units that differ by case only (mW, MW) are left out, and nobody's is taken for the other.
_TABLE: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("% percent pct per~cent prozent", "share", "1", "0"),
    (
        "rpm r/min 1/min min-1 rev/min u/min revs revolutions~per~minute rounds~per~minute",
        "rotation",
        "1",
        "0",
    ),
    ("rps r/s rev/s revolutions~per~second", "rotation", "60", "0"),
    ("hz hertz", "frequency", "1", "0"),
    ("khz kilohertz", "frequency", "1000", "0"),
    ("cel °c c celsius degc degrees~celsius degree~celsius deg~c degrees~c", "temperature", "1", "273.15"),
    ("k kelvin", "temperature", "1", "0"),
    ("°f [degf] f fahrenheit degf degrees~fahrenheit degree~fahrenheit", "temperature", "5/9", "45967/180"),
    ("bar bars", "pressure", "100000", "0"),
    ("mbar millibar hpa", "pressure", "100", "0"),
    ("kpa kilopascal", "pressure", "1000", "0"),
    ("pa pascal", "pressure", "1", "0"),
    ("m metre metres meter meters", "length", "1", "0"),
    ("mm millimetre millimetres millimeter millimeters", "length", "1/1000", "0"),
    ("cm centimetre centimetres centimeter centimeters", "length", "1/100", "0"),
    ("s sec secs second seconds", "time", "1", "0"),
    ("ms millisecond milliseconds", "time", "1/1000", "0"),
    ("min minute minutes mins", "time", "60", "0"),
    ("h hour hours hr hrs", "time", "3600", "0"),
    ("d day days", "time", "86400", "0"),
    ("l litre litres liter liters", "volume", "1/1000", "0"),
    ("m3 m³ cubic~metre cubic~metres cubic~meters", "volume", "1", "0"),
    ("l/min lpm litres~per~minute liters~per~minute", "flow", "1/60000", "0"),
    ("l/h litres~per~hour liters~per~hour", "flow", "1/3600000", "0"),
    ("l/s litres~per~second liters~per~second", "flow", "1/1000", "0"),
    ("m3/h m³/h cubic~metres~per~hour cubic~meters~per~hour", "flow", "1/3600", "0"),
    ("a amp amps ampere amperes", "current", "1", "0"),
    ("ma milliamp milliamps", "current", "1/1000", "0"),
    ("v volt volts", "voltage", "1", "0"),
    ("mv millivolt millivolts", "voltage", "1/1000", "0"),
    ("kv kilovolt kilovolts", "voltage", "1000", "0"),
    ("w watt watts", "power", "1", "0"),
    ("kw kilowatt kilowatts", "power", "1000", "0"),
    ("kg kilogram kilograms kilo kilos", "mass", "1", "0"),
    ("g gram grams", "mass", "1/1000", "0"),
    ("t tonne tonnes ton tons", "mass", "1000", "0"),
    ("nm newton~metre newton~metres newton~meters", "torque", "1", "0"),
    ("deg ° degree degrees", "angle", "1", "0"),
)
UNITS: Final = _units()
LONGEST: Final = max(len(name.split()) for name in UNITS)
"""How many words the longest name has."""


def unit_named(text: str) -> Unit | None:
    """The unit of that name; None for one that is not known here."""
    return UNITS.get(text.lower().strip())


def converted(value: Fraction, unit: str, wanted: str) -> Fraction | None:
    """`value` in the wanted unit; None when the two measure different things, or one is not known.

    A unit that is not in the table fits itself only, letter by letter.
    """
    if unit.lower() == wanted.lower():
        return value
    have, want = unit_named(unit), unit_named(wanted)
    if have is None or want is None or have.dimension != want.dimension:
        return None
    return (value * have.factor + have.offset - want.offset) / want.factor
