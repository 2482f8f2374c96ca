"""The offered tools as the grammar sees them: operations with words, arguments with units and ranges.

Everything comes from names, descriptions and schemas; no asset and no operation is known beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from plantops.agent.models.rules.text import tokens_of, words
from plantops.agent.models.rules.verbs import is_known_verb, verb_class
from plantops.events.tooling import ToolListed

# In a schema beside the model's own arguments, which all are required: whether it is only tried, and why.
SIMULATE: Final = "simulate"
_OURS: Final = (SIMULATE, "reason", "safety_reasoning")
_CAMEL: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_EMERGENCY: Final = ("emergency", "estop")
# Words that say nothing of an operation, and those that the catalogue says of every one.
_DULL: Final = words(
    "low medium high critical goes safe direction waits nothing simulated first other persons must approve "
    "unit most stands there now what "
    "a an the of in on at to for with and or is are be it its this that as by from not no into over "
    "under operation request sense same iso between than than highest lowest risk asset"
)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an operation. `words` name it: its own name and what its description says."""

    name: str
    kind: str
    unit: str = ""
    low: Fraction | None = None
    high: Fraction | None = None
    choices: tuple[Any, ...] = ()
    is_required: bool = True
    words: frozenset[str] = frozenset()

    @property
    def is_number(self) -> bool:
        return self.kind in ("number", "integer")

    def range_text(self) -> str:
        """For people: "0 to 3600 rpm"; "" without bounds."""
        unit = f" {self.unit}" if self.unit else ""
        if self.low is not None and self.high is not None:
            return f"{plain(self.low)} to {plain(self.high)}{unit}"
        if self.low is not None:
            return f"{plain(self.low)}{unit} or more"
        if self.high is not None:
            return f"{plain(self.high)}{unit} or less"
        return f"a number in{unit}" if unit else "a number"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one asset. `verb` is the class of what it does, `objects` the other words of its name,
    `said_of_it` those of its description."""

    tool: ToolListed
    verb: str
    objects: frozenset[str]
    said_of_it: frozenset[str]
    arguments: tuple[Argument, ...]
    can_simulate: bool
    is_emergency: bool

    @property
    def title(self) -> str:
        """For people: `pump-001.SetSpeed`."""
        return f"{self.tool.asset}.{self.tool.operation}" if self.tool.asset else self.tool.name

    @property
    def names(self) -> frozenset[str]:
        """What it may be called by, in lower case, letter by letter."""
        own = self.tool.operation or self.tool.name
        return frozenset(
            name.lower()
            for name in (own, self.title, self.tool.name, "_".join(words_of(own)), "-".join(words_of(own)))
        )


def operations_of(tools: Iterable[ToolListed]) -> tuple[Operation, ...]:
    """All operations among the tools, in their order."""
    return tuple(_operation(tool) for tool in tools if tool.kind == "operation")


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name in camel case, with dashes or underscores."""
    return tuple(part.lower() for part in _CAMEL.findall(name))


def plain(value: Fraction) -> str:
    """A number as it is written."""
    return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"


def _operation(tool: ToolListed) -> Operation:
    own = words_of(tool.operation or tool.name)
    emergency = any(word in _EMERGENCY for word in own) or own[:2] == ("e", "stop")
    doing = next((word for word in own if is_known_verb(word)), own[0] if own else "")
    verb = "emergency" if emergency else verb_class(doing)
    schema: Mapping[str, Any] = tool.arguments
    properties: Mapping[str, Any] = schema.get("properties") or {}
    required = schema.get("required") or ()
    return Operation(
        tool=tool,
        verb=verb,
        objects=frozenset(own) if emergency else frozenset(own) - {doing},
        said_of_it=telling_words(tool.description),
        arguments=tuple(
            _argument(name, part, is_required=name in required)
            for name, part in properties.items()
            if name not in _OURS or name in required
        ),
        can_simulate=SIMULATE in properties and SIMULATE not in required,
        is_emergency=emergency,
    )


def _argument(name: str, schema: Mapping[str, Any], *, is_required: bool) -> Argument:
    told = str(schema.get("description", ""))
    # Never out of the description: whoever wrote that would choose what a person's figure means.
    unit = str(schema.get("x-unit") or schema.get("unit") or "")
    kind = schema.get("type", "")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "")
    return Argument(
        name=name,
        kind=str(kind),
        unit=unit,
        low=_bound(schema.get("minimum")),
        high=_bound(schema.get("maximum")),
        choices=tuple(schema.get("enum") or ()),
        is_required=is_required,
        words=frozenset(words_of(name)) | telling_words(told) | {name.lower()},
    )


def _bound(value: Any) -> Fraction | None:
    return Fraction(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None


def telling_words(text: str) -> frozenset[str]:
    """The words of a description that tell something, also the halves of those with a dash."""
    found: set[str] = set()
    for token in tokens_of(text):
        if token.kind == "word":
            found.update((token.text, token.text.replace("-", ""), *token.text.split("-")))
    return frozenset(found - _DULL)
