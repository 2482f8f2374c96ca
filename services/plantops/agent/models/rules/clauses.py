"""A message cut into clauses, each with its mood: who wants what, and who only asks, denies or supposes.

A clause counts as a command only where nothing says otherwise. "Not" reaches on over "and" and a comma, until
"but", "then" or the end of the sentence; a question does likewise; a condition holds for its whole sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from plantops.agent.models.rules.leads import without_lead
from plantops.agent.models.rules.markers import ENDS, without_markers
from plantops.agent.models.rules.number_words import with_figures
from plantops.agent.models.rules.text import Token, find, tokens_of, words

Mood: TypeAlias = Literal["command", "question", "info", "may", "why", "retract", "nod"]
"""`info`: "show"; `may`: "can I …?"; `why`: "why was it denied?"; `retract`: "forget it"; `nod`: "yes"."""

Joint: TypeAlias = Literal["", "and", "but", "then"]
"""How a clause hangs on the one before; "" begins a sentence."""

_NEGATIONS: Final = words(
    "not no never nor neither nobody none nothing without avoid refrain prevent forbid forbidden "
    "except stay dont doesnt didnt isnt"
)
_NEGATED_PHRASES: Final = (
    ("hold", "off"),
    ("rather", "than"),
    ("instead", "of"),
    ("leave", "it"),
    ("keep", "from"),
    ("stop", "from"),
)
_CONDITIONS: Final = words(
    "if when whenever once unless until till after before while whilst provided assuming tomorrow "
    "tonight later soon every daily hourly weekly otherwise else or eventually sometime maybe perhaps"
    " case"
)
_NO_CONDITION: Final = (
    ("if", "you", "please"),
    ("at", "once"),
    ("or", "else"),
    ("sooner", "or", "later"),
    ("after", "that"),
)
_TIME_UNITS: Final = ("s", "sec", "second", "minute", "min", "hour", "h", "day", "ms", "week")
_REASONS: Final = (("because",), ("due", "to"), ("so", "that"), ("in", "order", "to"))
_QUESTION_WORDS: Final = words(
    "what which who whose whom when where how is are was were am does did has have had will shall do"
)
_INFO_WORDS: Final = words(
    "show list display tell give report check describe explain print find look query see view"
)
_MAY: Final = (
    *(
        (verb, who)
        for verb in ("can", "could", "may", "might", "should", "shall", "would")
        for who in ("i", "we")
    ),
    *(("am", "i", word) for word in ("allowed", "able", "permitted", "authorised", "authorized")),
    *(("are", "we", word) for word in ("allowed", "able", "permitted", "authorised", "authorized")),
    *(
        (*head, word)
        for head in (("is", "it"), ("would", "it", "be"), ("is", "that"))
        for word in ("ok", "okay", "safe", "allowed", "possible", "permitted", "fine", "alright")
    ),
    ("do", "i", "have"),
    ("do", "we", "have"),
    ("what", "would", "the", "gate", "say"),
)
_RETRACTIONS: Final = words(
    "no not nope do does don't never mind forget it that this scratch cancel abort sorry oops "
    "actually please all of them hold on undo wait just stay nevermind"
)
_NODS: Final = words("yes yep yeah ok okay sure confirm confirmed go ahead do it proceed approve approved")


@dataclass(frozen=True, slots=True)
class Clause:
    """`tokens` are without politeness. `asks` is a question mark at the end of its sentence. `condition` is
    the word that makes the sentence depend on something, "" for none. `is_inflected`: a simulation or a
    question about permission may say "starting" or "started". `is_carried`: the mood is of the one before."""

    tokens: tuple[Token, ...]
    mood: Mood
    joint: Joint = ""
    is_negated: bool = False
    asks: bool = False
    is_polite: bool = False
    condition: str = ""
    is_inflected: bool = False
    is_carried: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """`simulate`: what was said of it; None for nothing. `contradicts` itself about that."""

    clauses: tuple[Clause, ...]
    simulate: bool | None = None
    contradicts: bool = False


def read_message(text: str) -> Message:
    """What was said, clause by clause, in its order."""
    tokens, wanted = without_markers(with_figures(tokens_of(text)))
    clauses = tuple(clause for sentence in _sentences(tokens) for clause in _clauses(*sentence, wanted))
    simulate = next(iter(wanted)) if len(wanted) == 1 else None
    return Message(clauses, simulate, contradicts=len(wanted) > 1)


def _sentences(tokens: tuple[Token, ...]) -> Iterator[tuple[tuple[Token, ...], bool]]:
    """Each sentence without its end, and whether it ends with a question mark."""
    begin = 0
    for position, token in enumerate(tokens):
        if token.kind == "mark" and token.text in ENDS:
            if position > begin:
                yield tokens[begin:position], token.text == "?"
            begin = position + 1
    if begin < len(tokens):
        yield tokens[begin:], False


def _clauses(tokens: tuple[Token, ...], asks: bool, wanted: set[bool]) -> Iterator[Clause]:
    tokens = _without_reason(tokens)
    condition = _condition(tokens)
    found: list[Clause] = []
    for part, joint in _parts(tokens):
        plain, is_polite = without_lead(part)
        if plain:
            clause = Clause(
                plain,
                _mood(plain),
                joint if found else "",
                is_negated=_is_negated(plain),
                is_polite=is_polite,
                condition=condition,
                is_inflected=True in wanted,
            )
            found.append(_reached(clause, found[-1] if found else None))
    # The mark belongs to a question that ends the sentence; else to all that stands in it.
    asks = asks and bool(found) and found[-1].mood in ("command", "nod", "retract")
    yield from (replace(clause, asks=asks) for clause in found)


def _without_reason(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Why somebody wants it is no part of what he wants."""
    places = [find(tokens, *phrase) for phrase in _REASONS]
    return tokens[: min((place for place in places if place > 0), default=len(tokens))]


def _reached(clause: Clause, before: Clause | None) -> Clause:
    """What the clause before says also of this one."""
    if before is None or clause.joint != "and":
        return clause
    if before.is_negated and before.mood == "command" and not _is_bare(before.tokens):
        clause = replace(clause, is_negated=True)
    if before.mood in ("question", "may", "why") and clause.mood == "command":
        clause = replace(clause, mood=before.mood, is_carried=True)
    return clause


def _parts(tokens: Sequence[Token]) -> Iterator[tuple[tuple[Token, ...], Joint]]:
    part: list[Token] = []
    joint: Joint = ""
    for token in tokens:
        found = _joint(token)
        if not found:
            part.append(token)
            continue
        if part:
            yield tuple(part), joint
            part, joint = [], found
        elif found != "and":
            joint = found
    if part:
        yield tuple(part), joint


def _joint(token: Token) -> Joint:
    if token.text in ("and", ",", "&", "plus", "also"):
        return "and"
    if token.text in ("but", "however", "yet"):
        return "but"
    if token.kind == "word" and token.text in ("then", "afterwards", "afterward", "next", "subsequently"):
        return "then"
    return ""


def _condition(tokens: tuple[Token, ...]) -> str:
    for phrase in _NO_CONDITION:
        while (at := find(tokens, *phrase)) >= 0:
            tokens = (*tokens[:at], *tokens[at + len(phrase) :])
    first = tokens[0].text if tokens else ""
    for position, token in enumerate(tokens):
        # "When was it denied?" begins with a question word, not with a condition.
        if token.kind == "word" and token.text in _CONDITIONS and not (position == 0 and first == "when"):
            return token.text
        if token.text in ("in", "for", "at") and _is_time(tokens[position + 1 : position + 3]):
            return f"{token.text} {' '.join(str(each) for each in tokens[position + 1 : position + 3])}"
    return ""


def _is_time(tokens: tuple[Token, ...]) -> bool:
    if not tokens or tokens[0].kind != "figure":
        return False
    unit = tokens[0].glued or (tokens[1].text if len(tokens) > 1 else "")
    return unit in ("am", "pm", "o'clock") or unit.removesuffix("s") in _TIME_UNITS


def _is_negated(tokens: tuple[Token, ...]) -> bool:
    if any(token.kind == "word" and token.text in _NEGATIONS for token in tokens):
        return True
    texts = [token.text for token in tokens]
    return any(
        first in texts and second in texts[texts.index(first) + 1 :] for first, second in _NEGATED_PHRASES
    )


def _is_bare(tokens: tuple[Token, ...]) -> bool:
    """Nothing but "no" and the like."""
    return all(token.text in _RETRACTIONS for token in tokens) and find(tokens, "not", "wait") < 0


def _mood(tokens: tuple[Token, ...]) -> Mood:
    texts = tuple(token.text for token in tokens)
    if not texts:
        return "command"
    if _is_bare(tokens) and (
        _is_negated(tokens) or texts[0] in ("cancel", "abort", "forget", "scratch", "nevermind")
    ):
        return "retract"
    if (
        all(text in _NODS or (text.startswith("c") and text[1:].isdigit()) for text in texts)
        and texts[0] in _NODS
    ):
        return "nod"
    if any(texts[: len(phrase)] == phrase for phrase in _MAY):
        return "may"
    if texts[0] == "why" or texts[:2] == ("how", "come") or texts[:2] == ("what", "went"):
        return "why"
    if texts[0] in _QUESTION_WORDS and not (texts[0] == "do" and "you" not in texts[:2]):
        return "question"
    return "info" if texts[0] in _INFO_WORDS else "command"
