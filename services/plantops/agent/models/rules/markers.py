"""What says whether something is only tried: "simulate", "what if", "for real", `simulate=false`."""

from __future__ import annotations

from typing import Final

from plantops.agent.models.rules.text import Token, find

ENDS: Final = (".", ";", "!", "?", "...")
"""Marks that end a sentence."""

_SIMULATE: Final = (
    ("what", "would", "happen", "if"),
    ("what", "would", "happen", "when"),
    ("what", "happens", "if"),
    ("what", "happens", "when"),
    ("what", "will", "happen", "if"),
    ("what", "if"),
    ("as", "a", "test"),
    ("just", "a", "test"),
    ("test", "run"),
    ("dry", "run"),
    ("dry-run",),
    ("dryrun",),
    ("do", "a", "simulation", "of"),
    ("run", "a", "simulation", "of"),
    ("simulate",),
    ("simulated",),
    ("simulating",),
    ("simulation",),
    ("pretend", "to"),
    ("pretend",),
    ("hypothetically",),
)
_FOR_REAL: Final = (
    ("for", "real"),
    ("really",),
    ("in", "reality"),
    ("without", "simulation"),
    ("without", "simulating"),
    ("without", "a", "simulation"),
    ("no", "simulation"),
    ("not", "a", "simulation"),
    ("do", "not", "simulate"),
    ("not", "simulated"),
    ("not", "simulate"),
)
_VALUES: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
# Behind "real": then it belongs to something else ("real time", "the real value").
_REAL_THINGS: Final = ("time", "value", "values", "data", "speed", "level", "name", "reading")


def without_markers(tokens: tuple[Token, ...]) -> tuple[tuple[Token, ...], set[bool]]:
    """Take out what says whether it is only tried; in `simulate=false` the value goes, too."""
    wanted: set[bool] = set()
    tokens, told = _without_assignment(tokens)
    wanted |= told
    for phrases, value in ((_FOR_REAL, False), (_SIMULATE, True)):
        for phrase in phrases:
            while (at := find(tokens, *phrase)) >= 0:
                wanted.add(value)
                tokens = (*tokens[:at], *tokens[at + len(phrase) :])
    kept: list[Token] = []
    for position, token in enumerate(tokens):
        behind = tokens[position + 1].text if position + 1 < len(tokens) else ""
        if token.text == "real" and behind not in _REAL_THINGS:
            wanted.add(False)
        elif token.text == "test" and (not kept or kept[-1].text in (*ENDS, ":", ",")):
            wanted.add(True)
        else:
            kept.append(token)
    return tuple(kept), wanted


def _without_assignment(tokens: tuple[Token, ...]) -> tuple[tuple[Token, ...], set[bool]]:
    wanted: set[bool] = set()
    position = 0
    kept: list[Token] = []
    while position < len(tokens):
        three = tokens[position : position + 3]
        if len(three) == 3 and three[0].text in ("simulate", "simulation") and three[1].text in ("=", ":"):
            value = _VALUES.get(three[2].text)
            if value is not None:
                wanted.add(value)
                position += 3
                continue
        kept.append(tokens[position])
        position += 1
    return tuple(kept), wanted
