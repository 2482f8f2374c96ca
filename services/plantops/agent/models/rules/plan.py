"""What a message asks for, as a plan: operations to propose, things to read, and what to say of the rest.

The plan follows from the person's words and the catalogue alone. Nothing that a tool gave, and nothing that a
model said, is an input: so no text of the plant can become a command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from plantops.agent.models.rules.catalogue import operations_of
from plantops.agent.models.rules.clauses import Clause, Message, read_message
from plantops.agent.models.rules.commands import Doubt, Matcher, Proposal, Wish, with_verb
from plantops.agent.models.rules.emergency import emergency_of
from plantops.agent.models.rules.text import Token, said, words
from plantops.events.tooling import ToolListed


@dataclass(frozen=True, slots=True)
class Asked:
    """A clause that asks for something: it is answered by reading."""

    clause: Clause


@dataclass(frozen=True, slots=True)
class Plan:
    """`proposals` in their order, `asked` to be read, `explain` what the gate would say to these, `says` for
    the person beside that. `simulate` is what was said of it; None for nothing."""

    proposals: tuple[Proposal, ...] = ()
    asked: tuple[Asked, ...] = ()
    explain: tuple[Proposal, ...] = ()
    says: tuple[str, ...] = ()
    simulate: bool | None = None
    is_nod: bool = False
    is_lost: bool = False


@dataclass(slots=True)
class _Drawn:
    proposals: list[Proposal] = field(default_factory=list)
    explain: list[Proposal] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    says: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    is_nod: bool = False
    verb: Wish | None = None
    assets: frozenset[str] | None = None


_CONTRADICTION: Final = (
    "You asked for a simulation and for the real thing at once, so I propose nothing. Which one?"
)


def plan_of(text: str, tools: Sequence[ToolListed], before: Sequence[str] = ()) -> Plan:
    """The plan for one message by a catalogue; see `plan_with`."""
    return plan_with(text, Matcher(operations_of(tools)), before)


def plan_with(text: str, matcher: Matcher, before: Sequence[str] = ()) -> Plan:
    """The plan for one message. `before` are the person's earlier messages, the newest last: "it" may mean an
    asset that was named there, and nothing else is taken from them."""
    message = read_message(text)
    clauses = message.clauses
    # Only who says "it" needs to know what was said before.
    refers = any(matcher.assets.named(clause.tokens).is_pronoun for clause in clauses)
    drawn = _Drawn(assets=_mentioned_before(matcher, before) if refers else None)
    for number, clause in enumerate(clauses):
        following = clauses[number + 1] if number + 1 < len(clauses) else None
        _draw(drawn, matcher, message, clause, following)
    return _whole(drawn, message)


def _draw(
    drawn: _Drawn, matcher: Matcher, message: Message, clause: Clause, following: Clause | None
) -> None:
    if _is_emergency(drawn, matcher, clause):
        return
    if (
        len(clause.tokens) > 2
        and clause.tokens[0].text == "emergency"
        and clause.tokens[1].text in (":", "-")
    ):
        # "Emergency: close the valve" says why, and then what.
        clause = replace(clause, tokens=clause.tokens[2:])
    match clause.mood:
        case "retract":
            _retract(drawn)
        case "nod":
            drawn.is_nod = True
        case "may":
            _may(drawn, matcher, clause)
        case "question" | "info" | "why":
            _question(drawn, matcher, clause)
        case "command":
            _command(drawn, matcher, message, clause, following)


def _is_emergency(drawn: _Drawn, matcher: Matcher, clause: Clause) -> bool:
    operations = emergency_of(clause, matcher)
    if operations is None:
        return False
    if not operations:
        drawn.doubts.append(
            "No operation in the safe direction is known for that. Use the plant's own emergency stop."
        )
    for operation in operations:
        drawn.proposals.append(Proposal(operation, {}))
    return True


def _retract(drawn: _Drawn) -> None:
    if drawn.proposals or drawn.doubts:
        drawn.says.append("You took it back, so I propose nothing of what stood before.")
    else:
        drawn.says.append("Nothing is proposed.")
    drawn.proposals.clear()
    drawn.doubts.clear()
    drawn.foreign.clear()


def _may(drawn: _Drawn, matcher: Matcher, clause: Clause) -> None:
    found = _meant(drawn, matcher, replace(clause, tokens=_behind_may(clause)), inflected=True)
    if isinstance(found, Proposal):
        drawn.explain.append(found)
    elif found is None or found.is_foreign:
        drawn.asked.append(Asked(clause))
    else:
        drawn.says.append(found.text)


def _behind_may(clause: Clause) -> tuple[Token, ...]:
    tokens = clause.tokens
    for place, token in enumerate(tokens):
        if token.text not in _MAY_WORDS:
            return tokens[place:]
    return ()


_MAY_WORDS: Final = words(
    "can could may might should shall would i we am are is it be do have the that ok okay safe "
    "allowed able possible permitted authorised authorized fine alright to if permission right rights "
    "what gate say also now already"
)


def _question(drawn: _Drawn, matcher: Matcher, clause: Clause) -> None:
    if clause.mood == "info":
        # "Get status" and "show temperature" are operations where the catalogue has such.
        wish = matcher.wish(clause)
        if wish is not None and not clause.is_negated and not clause.condition:
            found = matcher.match(wish, wish.named.assets)
            if isinstance(found, Proposal):
                drawn.proposals.append(found)
                return
    if clause.is_carried and matcher.wish(clause) is not None:
        text = said(clause.tokens)
        drawn.says.append(f"I propose nothing of {text!r}, since it stands in a question. Say it by itself.")
        return
    drawn.asked.append(Asked(clause))
    drawn.assets = matcher.assets.named(clause.tokens).assets or drawn.assets


def _command(
    drawn: _Drawn, matcher: Matcher, message: Message, clause: Clause, following: Clause | None
) -> None:
    text = said(clause.tokens)
    if clause.is_negated:
        drawn.says.append(f"You said not to ({text!r}), so I propose nothing for that.")
        drawn.assets = matcher.assets.named(clause.tokens).assets or drawn.assets
        return
    if clause.condition:
        drawn.doubts.append(
            f"I cannot wait or watch for something ({clause.condition!r}), so I propose nothing of {text!r}."
            " Ask again when it is time."
        )
        return
    if clause.tokens[0].text in _STATUS:
        drawn.asked.append(Asked(clause))
        return
    found = _meant(drawn, matcher, clause, inflected=clause.is_inflected, following=following)
    if found is None or (isinstance(found, Doubt) and found.is_foreign):
        _not_an_operation(drawn, clause)
    elif isinstance(found, Doubt):
        drawn.doubts.append(found.text)
    elif clause.asks and not clause.is_polite and not message.simulate:
        drawn.doubts.append(f"You ask {text!r}. If I should do it, say it without the question mark.")
    else:
        drawn.proposals.append(replace(found, waits=clause.joint == "then" and bool(drawn.proposals)))


def _not_an_operation(drawn: _Drawn, clause: Clause) -> None:
    """What begins like "get" is a question, though it is said like a command."""
    reads = clause.tokens[0].text in _READING or any(token.text in _STATUS for token in clause.tokens)
    if reads or clause.asks:
        drawn.asked.append(Asked(clause))
    else:
        drawn.foreign.append(said(clause.tokens))


_READING: Final = frozenset(["get", "read", "show", "check", "display"])
_STATUS: Final = words("status state alarm alarms findings help history trend health")


def _meant(
    drawn: _Drawn,
    matcher: Matcher,
    clause: Clause,
    *,
    inflected: bool,
    following: Clause | None = None,
) -> Proposal | Doubt | None:
    """What the clause wants; None when it does not have the form of a command."""
    wish = matcher.wish(clause, inflected=inflected)
    if wish is None:
        wish = _without_verb(drawn, matcher, clause)
    if wish is None:
        return None
    assets = _where(drawn, matcher, wish, following)
    found = matcher.match(wish, assets)
    if wish.verb or wish.exact:
        drawn.verb = wish
    if wish.named.mentions:
        drawn.assets = wish.named.assets
    return found


def _without_verb(drawn: _Drawn, matcher: Matcher, clause: Clause) -> Wish | None:
    """ "Start pump-001 and pump-002": the second takes the verb of the first. Else "speed 1200"."""
    named = matcher.assets.named(clause.tokens)
    if drawn.verb is not None and clause.joint == "and" and named.mentions:
        return with_verb(Wish(clause.tokens, "", "", frozenset(), named), drawn.verb)
    return matcher.bare(clause)


def _where(drawn: _Drawn, matcher: Matcher, wish: Wish, following: Clause | None) -> frozenset[str] | None:
    if wish.named.mentions:
        return wish.named.assets
    if wish.named.is_pronoun and drawn.assets:
        return drawn.assets
    alone = len(wish.tokens) - len(wish.taken) == 0
    if alone and following is not None and following.joint == "and":
        # "Stop and close the valve" means the valve twice.
        return matcher.assets.named(following.tokens).assets
    return None


def _mentioned_before(matcher: Matcher, before: Sequence[str]) -> frozenset[str] | None:
    for text in reversed(before):
        for clause in reversed(read_message(text).clauses):
            if assets := matcher.assets.named(clause.tokens).assets:
                return assets
    return None


def _whole(drawn: _Drawn, message: Message) -> Plan:
    """All of it, or only what goes in the safe direction: half of what was asked is not what was asked."""
    proposals = _once(drawn.proposals)
    foreign = [f"I do not understand {text!r}." for text in drawn.foreign]
    problems = [
        *drawn.doubts,
        *(foreign if proposals or drawn.doubts or drawn.asked or drawn.explain else ()),
    ]
    if message.contradicts and proposals:
        problems.insert(0, _CONTRADICTION)
    if message.simulate:
        unable = [one.operation.title for one in proposals if not one.operation.can_simulate]
        problems += [f"{title} cannot be simulated, so I do not propose it." for title in unable]
    says = [*drawn.says, *problems]
    if problems:
        safe = [one for one in proposals if one.operation.tool.safe_direction and not message.simulate]
        held = [one.operation.title for one in proposals if one not in safe]
        if held:
            says.append(f"Until that is clear I do not propose {', '.join(held)} either.")
        proposals = safe
    is_lost = not (proposals or drawn.asked or drawn.explain or says or drawn.is_nod)
    return Plan(
        tuple(proposals),
        tuple(drawn.asked),
        tuple(drawn.explain),
        tuple(dict.fromkeys(says)),
        message.simulate,
        drawn.is_nod,
        is_lost,
    )


def _once(proposals: Sequence[Proposal]) -> list[Proposal]:
    """Without the same thing twice in a row; in the safe direction, without it twice at all."""
    kept: list[Proposal] = []
    for one in proposals:
        same = [
            other for other in kept if (other.operation, other.arguments) == (one.operation, one.arguments)
        ]
        if same and (one.operation.tool.safe_direction or same[-1] is kept[-1]):
            continue
        kept.append(one)
    return kept
