"""Which words ask for the same thing. An operation's name is read by the same table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from plantops.agent.models.rules.text import Token

# Class: the words for it. Of a word with a particle the particle may stand further on ("turn the pump off").
_TABLE: Final[tuple[tuple[str, str], ...]] = (
    (
        "start",
        "start activate enable run turn+on switch+on power+on power+up start+up fire+up spin+up bring+up",
    ),
    (
        "stop",
        "stop halt deactivate disable shutdown kill turn+off switch+off power+off power+down shut+down"
        " shut+off spin+down bring+down",
    ),
    ("set", "set change adjust put make bring increase decrease reduce raise lower ramp move drive take go"),
    ("open", "open"),
    ("close", "close shut"),
    ("reset", "reset clear acknowledge"),
    ("get", "get show check display read report"),
)
_CLASSES: Final[Mapping[str, str]] = MappingProxyType(
    {word: name for name, words in _TABLE for word in words.split() if "+" not in word}
)
_WITH_PARTICLE: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        (word.partition("+")[0], word.partition("+")[2]): name
        for name, words in _TABLE
        for word in words.split()
        if "+" in word
    }
)
PARTICLES: Final = ("on", "off", "up", "down")
GENERIC: Final = ("call", "run", "execute", "invoke", "perform", "do", "use", "trigger", "apply")
"""What stands before the name of an operation."""

_IRREGULAR: Final = {
    "set": ("setting",),
    "run": ("running", "ran"),
    "get": ("getting", "got"),
    "put": ("putting",),
    "stop": ("stopping", "stopped"),
    "shut": ("shutting",),
    "bring": ("brought",),
    "make": ("making", "made"),
    "take": ("taking", "took"),
    "go": ("going", "went"),
    "drive": ("driving", "drove"),
    "spin": ("spinning", "spun"),
}


def verb_class(word: str) -> str:
    """What a verb asks for; a verb that is not in the table stands for itself."""
    return _CLASSES.get(word, word)


def is_known_verb(word: str) -> bool:
    """Whether the table has the word, with a particle or without."""
    return word in _CLASSES or any(word == verb for verb, _ in _WITH_PARTICLE)


def with_particle(word: str, particle: str) -> str:
    """What the two words ask for together; "" when they are no pair."""
    return _WITH_PARTICLE.get((word, particle), "")


def base_form(word: str, verbs: frozenset[str]) -> str:
    """The verb among `verbs` of which `word` is a form ("starting", "started"); "" when there is none."""
    if word in verbs:
        return word
    for verb in verbs:
        if word in _IRREGULAR.get(verb, ()):
            return verb
    for ending in ("ing", "ed", "d", "s"):
        stem = word.removesuffix(ending)
        if stem != word and stem in verbs:
            return stem
        if ending == "ing" and stem != word and f"{stem}e" in verbs:
            return f"{stem}e"
    return ""


def all_verbs() -> frozenset[str]:
    """Every verb of the table, in its base form."""
    return frozenset((*_CLASSES, *(verb for verb, _ in _WITH_PARTICLE)))


def particle_at(tokens: tuple[Token, ...], verb: int) -> int:
    """Where the particle of the verb at `verb` stands; -1 when it has none."""
    for position in range(verb + 1, len(tokens)):
        if tokens[position].text in PARTICLES and with_particle(tokens[verb].text, tokens[position].text):
            return position
    return -1
