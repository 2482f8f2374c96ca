"""From a clause to a proposed operation: every word of it has to be accounted for, or a person is asked.

Only the catalogue says what there is. Of several operations that fit none is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from plantops.agent.models.rules.arguments import Filling, fill
from plantops.agent.models.rules.assets import Assets, Named
from plantops.agent.models.rules.catalogue import Operation
from plantops.agent.models.rules.clauses import Clause
from plantops.agent.models.rules.text import Token, said, words
from plantops.agent.models.rules.verbs import (
    GENERIC,
    PARTICLES,
    all_verbs,
    base_form,
    particle_at,
    verb_class,
    with_particle,
)
from plantops.events.base import Scalar

_SMALL: Final = words(
    "the a an my our your this that these those it its them one to at of for with on in into onto all "
    "every each both everything and value set-point setpoint target there here of course operation "
    "command tool asset named called straight fully completely back"
)
_RELATIVE: Final = words("by more less faster slower higher half double twice maximum minimum max min full")
# "What would happen if I started …", "… if somebody were to start …".
_SUBJECTS: Final = words(
    "i we you someone somebody to it were was would should get gets had have has could can if of that"
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One operation with its arguments. `waits` for the one before it ("then")."""

    operation: Operation
    arguments: dict[str, Scalar]
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why nothing is proposed for a clause; `text` is for who said it. `is_foreign`: no operation was meant,
    as far as the catalogue knows."""

    text: str
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """What a clause says, whether or not it may be done: the verb, the assets, and the rest."""

    tokens: tuple[Token, ...]
    verb: str
    verb_word: str
    taken: frozenset[int]
    named: Named
    exact: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class _Fit:
    operation: Operation
    filling: Filling
    left: tuple[Token, ...]


class Matcher:
    """The operations of a request, and which one a clause means."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = tuple(operations)
        self.assets = Assets(operation.tool.asset for operation in operations)
        own = {operation.verb for operation in operations if operation.verb} - {"emergency"}
        self._verbs = all_verbs() | frozenset(own)

    def wish(self, clause: Clause, *, inflected: bool = False) -> Wish | None:
        """What the clause wants done; None when it does not have the form of a command."""
        tokens = clause.tokens
        named = self.assets.named(tokens)
        if exact := self._exact(tokens):
            return self._exact_wish(tokens, named, exact)
        place, subject = self._verb_place(tokens, named, inflected=inflected)
        if place is None:
            return None
        word = base_form(tokens[place].text, self._verbs) if inflected else tokens[place].text
        if tokens[place].text in PARTICLES:
            return Wish(tokens, "start" if word == "on" else "stop", word, frozenset({place}), named)
        taken = subject | {place}
        particle = particle_at((*tokens[:place], Token("word", word), *tokens[place + 1 :]), place)
        if particle >= 0:
            verb = with_particle(word, tokens[particle].text)
            return Wish(tokens, verb, f"{word} {tokens[particle]}", taken | {particle}, named)
        return Wish(tokens, verb_class(word), word, taken, named)

    def bare(self, clause: Clause) -> Wish | None:
        """A clause without a verb: "speed 1200", "the valve to 50 %"; None when it has no figure."""
        if not any(token.kind == "figure" for token in clause.tokens):
            return None
        return Wish(clause.tokens, "set", "", frozenset(), self.assets.named(clause.tokens))

    def match(self, wish: Wish, assets: frozenset[str] | None) -> Proposal | Doubt:
        """The operation that is meant. `assets` bounds where; None: wherever it can be."""
        if assets is not None and not assets:
            names = ", ".join(repr(mention.text) for mention in wish.named.mentions)
            known = ", ".join(self.assets.names) or "none"
            return Doubt(f"I do not know {names}. Here are: {known}.")
        candidates = [one for one in self._candidates(wish) if assets is None or one.tool.asset in assets]
        if not candidates:
            return self._none(wish, assets)
        fits = [self._fit(wish, operation) for operation in candidates]
        whole = [fit for fit in fits if not fit.left]
        if not whole:
            least = min(len(fit.left) for fit in fits)
            nearest = [fit for fit in fits if len(fit.left) == least]
            return Doubt(
                f"I do not understand {said(nearest[0].left)!r} in {said(wish.tokens)!r},"
                f" so I propose nothing. {_instead(nearest)}"
            )
        return _chosen(wish, whole)

    def _exact(self, tokens: tuple[Token, ...]) -> tuple[Operation, ...]:
        texts = {token.text for token in tokens if token.kind == "word"}
        return tuple(operation for operation in self.operations if operation.names & texts)

    def _exact_wish(
        self, tokens: tuple[Token, ...], named: Named, exact: tuple[Operation, ...]
    ) -> Wish | None:
        names = frozenset(name for operation in exact for name in operation.names)
        taken = frozenset(place for place, token in enumerate(tokens) if token.text in names)
        first = next(
            (place for place in range(len(tokens)) if place in taken or place not in named.places), None
        )
        if first is not None and first not in taken:
            if tokens[first].text not in (*GENERIC, "the"):
                return None
            taken |= {first}
        return Wish(tokens, "", "", taken, named, exact)

    def _verb_place(
        self, tokens: tuple[Token, ...], named: Named, *, inflected: bool
    ) -> tuple[int | None, frozenset[int]]:
        """The first word that is no asset, or a particle alone ("pump off"); and the words of a subject."""
        places = [
            place
            for place, token in enumerate(tokens)
            if place not in named.places and token.text not in ("the", "a", "an", ":", "-", "my", "our")
        ]
        subject: set[int] = set()
        while inflected and places and tokens[places[0]].text in _SUBJECTS:
            subject.add(places.pop(0))
        if not places:
            return None, frozenset()
        first = tokens[places[0]]
        is_particle = first.text in ("on", "off") and len(places) == 1 and bool(named.mentions)
        known = base_form(first.text, self._verbs) if inflected else first.text
        is_verb = first.kind == "word" and known in self._verbs
        return (places[0] if is_particle or is_verb else None), frozenset(subject)

    def _candidates(self, wish: Wish) -> Iterator[Operation]:
        if wish.exact:
            yield from wish.exact
            return
        has_figure = any(token.kind == "figure" for token in wish.tokens)
        for operation in self.operations:
            same_verb = operation.verb == wish.verb and not operation.is_emergency
            # "Open the valve to 50 %" where the operation sets its opening.
            opens = (
                wish.verb == "open"
                and operation.verb in ("set", "move")
                and (has_figure or not self._has_verb("open"))
                and any(
                    word in argument.words for argument in operation.arguments for word in ("open", "opening")
                )
            )
            if same_verb or opens:
                yield operation

    def _has_verb(self, verb: str) -> bool:
        return any(operation.verb == verb for operation in self.operations)

    def _fit(self, wish: Wish, operation: Operation) -> _Fit:
        filling = fill(operation.arguments, wish.tokens, wish.taken | wish.named.places, operation.title)
        known = (
            operation.objects
            | operation.said_of_it
            | frozenset(word for argument in operation.arguments for word in argument.words)
        )
        left = tuple(
            token
            for place, token in enumerate(wish.tokens)
            if place not in filling.places
            and place not in wish.taken
            and place not in wish.named.places
            and not _is_explained(token, known)
        )
        if not wish.verb_word and not wish.exact and not self._is_anchored(wish, operation, filling):
            # "900 rpm" alone says what somebody saw as well as what he wants.
            left = wish.tokens
        if operation.arguments and any(token.text in _RELATIVE for token in left):
            left = tuple(token for token in left if token.text not in _RELATIVE)
            filling.doubt = (
                f"I only pass on values that you name, no changes of what is. Which value for"
                f" {operation.title}: {', '.join(one.range_text() for one in operation.arguments)}?"
            )
        return _Fit(operation, filling, left)

    def _is_anchored(self, wish: Wish, operation: Operation, filling: Filling) -> bool:
        """Whether a clause without a verb names what is set ("speed 900"), or where to ("valve to 50 %")."""
        names = operation.objects | {word for one in operation.arguments for word in one.words}
        free = [token.text for place, token in enumerate(wish.tokens) if place not in filling.places]
        return bool(names.intersection(free)) or (bool(wish.named.mentions) and "to" in free)

    def _none(self, wish: Wish, assets: frozenset[str] | None) -> Doubt:
        where = ", ".join(sorted(assets)) if assets else ""
        there = [one for one in self.operations if not assets or one.tool.asset in assets]
        if where:
            offers = ", ".join(one.tool.operation for one in there) or "no operation"
            return Doubt(f"{where} has no operation for {said(wish.tokens)!r}. It offers: {offers}.")
        return Doubt(f"I know no operation for {said(wish.tokens)!r}.", is_foreign=True)


def with_verb(wish: Wish, verb: Wish) -> Wish:
    """A clause without a verb of its own that takes the one of the clause before."""
    return replace(wish, verb=verb.verb, verb_word=verb.verb_word)


def _is_explained(token: Token, known: frozenset[str]) -> bool:
    text = token.text
    if text in _SMALL or token.kind == "mark":
        return token.kind == "word" or text in ",:=()-#'\"/"
    if token.kind != "word":
        return False
    forms = (text, text.replace("-", ""), text.removesuffix("s"), text.removesuffix("ing"))
    parts = [part for part in text.replace("_", "-").replace(".", "-").split("-") if part]
    return any(form in known for form in forms) or (len(parts) > 1 and all(part in known for part in parts))


def _chosen(wish: Wish, whole: list[_Fit]) -> Proposal | Doubt:
    if len(whole) > 1:
        whole = _narrowed(wish, whole)
    if len({fit.operation.tool.name for fit in whole}) > 1:
        titles = _either([fit.operation.title for fit in whole])
        return Doubt(f"{said(wish.tokens)!r} can mean {titles}. Which one?")
    fit = whole[0]
    if fit.filling.doubt:
        return Doubt(fit.filling.doubt)
    return Proposal(fit.operation, dict(fit.filling.values))


def _narrowed(wish: Wish, whole: list[_Fit]) -> list[_Fit]:
    """Those whose own words are said ("speed" of SetSpeed) before those that would merely fit."""
    texts = {form for token in wish.tokens for form in (token.text, token.text.removesuffix("s"))}
    objects = [fit for fit in whole if fit.operation.objects & texts]
    if objects:
        whole = objects
    by_unit = [fit for fit in whole if not fit.filling.doubt]
    # A unit that fits one argument only says which operation is meant; a range never does.
    has_unit = any(token.glued or token.text in ("%", "rpm", "percent") for token in wish.tokens)
    return by_unit if by_unit and has_unit else whole


def _instead(fits: Iterable[_Fit]) -> str:
    return f"Did you mean {_either([fit.operation.title for fit in fits])}?"


def _either(titles: Sequence[str]) -> str:
    unique = list(dict.fromkeys(titles))
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} or {unique[-1]}"
