"""Words that ask for the safe state at once. They are never questioned for a detail, only for a "not".

PlantOps is no emergency stop in the sense of ISO 13850; what these words reach is the safe-direction
operation of the catalogue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plantops.agent.models.rules.catalogue import Operation
from plantops.agent.models.rules.clauses import Clause
from plantops.agent.models.rules.text import Token, words

if TYPE_CHECKING:
    from plantops.agent.models.rules.commands import Matcher

_STOPS: Final = words("stop halt shutdown shut kill off trip")
_URGENT: Final = frozenset(["emergency", "urgent", "panic"])
_ALONE: Final = words("e-stop estop emergency-stop emergencystop emergency_stop mayday")
_ALL: Final = frozenset(["everything", "all"])


def emergency_of(clause: Clause, matcher: Matcher) -> tuple[Operation, ...] | None:
    """The safe-direction operations that a clause asks for at once; None when it asks for none.

    With an asset named those of it alone; else, where some assets have an operation made for emergencies,
    these assets; else all.
    """
    if clause.mood in ("question", "info", "may", "why") or clause.is_negated or clause.condition:
        return None
    urgent, everything = _is_urgent(clause.tokens), _is_everything(clause.tokens)
    if not urgent and not everything:
        return None
    assets = matcher.assets.named(clause.tokens).assets
    within = [one for one in matcher.operations if assets is None or one.tool.asset in assets]
    made_for_it = [one for one in within if one.is_emergency and not _needs(one)]
    if urgent and made_for_it:
        # An asset without one is in the range of those that have one, as the plant's designer saw it.
        theirs = {one.tool.asset for one in made_for_it}
        within = [one for one in within if one.tool.asset in theirs]
    safe = [one for one in within if one.tool.safe_direction and not _needs(one)]
    return _one_each(safe, made_for_it if urgent else [], urgent=urgent)


def _is_urgent(tokens: tuple[Token, ...]) -> bool:
    texts = [token.text for token in tokens]
    if any(text in _ALONE for text in texts):
        return True
    if "e" in texts and "stop" in texts[texts.index("e") + 1 :][:2]:
        return True
    return any(text in _URGENT for text in texts) and (
        len(texts) == 1 or any(text in _STOPS for text in texts)
    )


def _is_everything(tokens: tuple[Token, ...]) -> bool:
    texts = {token.text for token in tokens}
    first = tokens[0].text if tokens else ""
    return (
        first in ("stop", "halt", "shut", "kill", "shutdown", "turn", "switch")
        and bool(texts & _ALL)
        and (first not in ("turn", "switch") or "off" in texts)
    )


def _one_each(safe: list[Operation], made_for_it: list[Operation], *, urgent: bool) -> tuple[Operation, ...]:
    """One operation for each asset: that for emergencies when it is urgent, else the plain one. One that the
    policy does not count to the safe direction would wait for persons: only where there is no other."""
    chosen: dict[str, Operation] = {}
    for one in safe:
        other = chosen.get(one.tool.asset)
        if other is None or (one.is_emergency == urgent and other.is_emergency != urgent):
            chosen[one.tool.asset] = one
    for one in made_for_it:
        chosen.setdefault(one.tool.asset, one)
    return tuple(chosen.values())


def _needs(operation: Operation) -> bool:
    return any(argument.is_required for argument in operation.arguments)
