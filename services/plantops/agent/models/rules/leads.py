"""What people put before what they want, and takes nothing away from it."""

from __future__ import annotations

from typing import Final

from plantops.agent.models.rules.text import Token, words

_WORDS: Final = words(
    "please kindly now first firstly ok okay hey hi hello just so well right alright yes yeah yep "
    "sure thanks thank "
    "great good morning afternoon evening day agent assistant computer plantops dear quickly "
    "immediately also again then oh uh um er hmm : - ,"
)
# Alone these are an answer.
_ANSWERS: Final = ("yes", "yeah", "yep", "ok", "okay", "sure", "right")
_POLITE: Final = tuple(
    tuple(phrase.split())
    for phrase in (
        "can you",
        "could you",
        "would you mind",
        "would you",
        "will you",
        "can you please",
        "i want you to",
        "i want to",
        "i need you to",
        "i need to",
        "i would like you to",
        "i would like to",
        "i would rather",
        "i like to",
        "i ask you to",
        "we want to",
        "we need to",
        "we have to",
        "i have to",
        "you should",
        "you must",
        "you may",
        "you can",
        "go ahead and",
        "let us",
        "make sure to",
        "make sure you",
        "be so kind as to",
        "be so kind and",
        "try to",
        "proceed to",
        "it is time to",
        "time to",
        "do me a favour and",
        "do me a favor and",
        "i would like",
        "i want",
        "i need",
        "thank you",
        "do please",
        "if you please",
        "your task is to",
        "the next thing is to",
    )
)
_LONGEST_FIRST: Final = tuple(sorted(_POLITE, key=len, reverse=True))
# Only these make a question of form: with a question mark it is still a request.
_ASKING: Final = ("can", "could", "would", "will")
_TRAILING_PHRASES: Final = (
    ("right", "away"),
    ("right", "now"),
    ("at", "once"),
    ("for", "me"),
    ("for", "us"),
    ("thank", "you"),
    ("straight", "away"),
    ("if", "you", "please"),
)
_TRAILING_WORDS: Final = words(
    "please now immediately thanks quickly asap urgently directly again too today ok okay already :"
)


def without_lead(tokens: tuple[Token, ...]) -> tuple[tuple[Token, ...], bool]:
    """The clause without politeness at both ends, and whether it was asked politely ("could you …?")."""
    is_polite = False
    while tokens:
        phrase = _phrase(tokens)
        if phrase:
            is_polite = is_polite or phrase[0] in _ASKING
            tokens = tokens[len(phrase) :]
        elif tokens[0].text in _WORDS and (len(tokens) > 1 or tokens[0].text not in _ANSWERS):
            tokens = tokens[1:]
        else:
            break
    return _without_tail(tokens), is_polite


def _phrase(tokens: tuple[Token, ...]) -> tuple[str, ...]:
    texts = tuple(token.text for token in tokens)
    return next((phrase for phrase in _LONGEST_FIRST if texts[: len(phrase)] == phrase), ())


def _without_tail(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    while len(tokens) > 1:
        texts = tuple(token.text for token in tokens)
        phrase = next((one for one in _TRAILING_PHRASES if texts[-len(one) :] == one), ())
        if phrase and len(phrase) < len(tokens):
            tokens = tokens[: -len(phrase)]
        elif texts[-1] in _TRAILING_WORDS:
            tokens = tokens[:-1]
        else:
            break
    return tokens
