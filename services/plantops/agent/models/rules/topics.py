"""What a question is about, which reads it takes, and the words for what they gave.

A topic is asked again with every step: as long as reads are missing it names them, then it gives its text.
Names that a tool gave (tags, handles) go into further reads only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from plantops.agent.models.rules.assets import Assets
from plantops.agent.models.rules.clauses import Clause
from plantops.agent.models.rules.command_words import command_told, decision_told
from plantops.agent.models.rules.known import Known
from plantops.agent.models.rules.past import PAST, age_of, history_told
from plantops.agent.models.rules.results import Read, Results, plainly, rows
from plantops.agent.models.rules.text import Token, words
from plantops.agent.models.rules.values import Place, meant, mentioned, places_of, tags_of, told, value_told
from plantops.agent.port import Facts
from plantops.events.tooling import ToolListed

_HANDLE: Final = re.compile(r"c[0-9]+|[0-9a-f]{24}")
_SUBJECTS: Final = (
    ("approvals-list", words("approval approvals waiting pending approve waits tasks task")),
    ("holds-list", words("hold holds lock locks lockout lock-out lockouts locked bypass bypasses bypassed")),
    ("command-list", words("command commands happened operations-log")),
    ("source-health", words("source sources device devices connection connected connections offline online")),
)
_ALARMS: Final = words("alarm alarms")
_FINDINGS: Final = words("finding findings diagnosis diagnostics anomaly anomalies")
_NO_HISTORY: Final = "I can only tell what is now; what was before stands in the archive (plantops query)."
_WHICH_TIME: Final = "I can tell how it went in a time that ends now: say, for example, the last 2 hours."
_HISTORY: Final = "tag-history"
_MOST_HISTORIES: Final = 4
_HELP: Final = words("help commands operations abilities")
_STATUS: Final = words("status state overview doing summary everything report plant site condition")


class Topic(Protocol):
    """Something that was asked."""

    def reads(self, results: Results) -> Sequence[Read]:
        """What has to be read for it, as far as that is known by now; all of it is made at the same time."""
        ...

    def text(self, results: Results) -> str:
        """The answer, when nothing of `reads` is missing."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """Answered without reading."""

    words: str

    def reads(self, results: Results) -> Sequence[Read]:
        return ()

    def text(self, results: Results) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class Plain:
    """One read whose result is told line by line."""

    read: Read
    lead: str = ""

    def reads(self, results: Results) -> Sequence[Read]:
        return (self.read,)

    def text(self, results: Results) -> str:
        answer = results.of(self.read)
        if answer is None or answer.problem:
            return _unread(self.read, answer.problem if answer else "")
        more = "\nThere is more than this page." if answer.is_cut else ""
        return f"{self.lead}{self._told(answer.result)}{more}"

    def _told(self, result: Any) -> str:
        match self.read.tool:
            case "command-status":
                return command_told(result)
            case "policy-explain":
                return decision_told(result)
            case "source-health":
                return _sources_told(result)
            case _:
                return plainly(result)


@dataclass(frozen=True, slots=True)
class Value:
    """What properties of assets hold now."""

    said: frozenset[str]
    assets: frozenset[str] | None
    wants_all: bool

    def reads(self, results: Results) -> Sequence[Read]:
        places = self.places(results)
        if places is None or not places:
            return (self.listing,)
        return (self.listing, Read("twin-get", {"tags": list(tags_of(places))}))

    def text(self, results: Results) -> str:
        listed = results.of(self.listing)
        if listed is None or listed.problem:
            return _unread(self.listing, listed.problem if listed else "")
        places = self.places(results) or ()
        if not places:
            every = places_of(listed.result)
            names = ", ".join(f"{place.asset}.{place.name}" for place in every[:_MOST_NAMED])
            return f"I know no such value. Here are: {names or 'none'}."
        read = Read("twin-get", {"tags": list(tags_of(places))})
        answer = results.of(read)
        if answer is None or answer.problem:
            return _unread(read, answer.problem if answer else "")
        return told(answer.result, places[: len(tags_of(places))], self.said)

    @property
    def listing(self) -> Read:
        """What tells which properties there are."""
        only = next(iter(self.assets)) if self.assets is not None and len(self.assets) == 1 else ""
        return Read("twin-list", {"asset": only} if only else {})

    def places(self, results: Results) -> tuple[Place, ...] | None:
        """The properties that are meant; None before it is known which there are."""
        listed = results.of(self.listing)
        if listed is None or listed.problem:
            return None
        places = places_of(listed.result)
        assets = self.assets or mentioned(places, self.said)
        found = meant(places, self.said, assets)
        return found if found or not self.wants_all else places


@dataclass(frozen=True, slots=True)
class Past:
    """How properties of assets went since `age`."""

    value: Value
    age: str

    def reads(self, results: Results) -> Sequence[Read]:
        return (self.value.listing, *(read for _, read in self._histories(results)))

    def text(self, results: Results) -> str:
        histories = self._histories(results)
        if not histories:
            return self.value.text(results)
        lines = []
        for place, read in histories:
            answer = results.of(read)
            if answer is None or answer.problem:
                lines.append(_unread(read, answer.problem if answer else ""))
            else:
                more = " There is more than this page." if answer.is_cut else ""
                lines.append(f"{history_told(f'{place.asset}.{place.name}', answer.result)}{more}")
        return "\n".join(lines)

    def _histories(self, results: Results) -> list[tuple[Place, Read]]:
        places = (self.value.places(results) or ())[:_MOST_HISTORIES]
        return [(place, Read(_HISTORY, {"tag": place.tag, "since": self.age})) for place in places]


@dataclass(frozen=True, slots=True)
class Tag:
    """Tags that were named letter by letter."""

    names: tuple[str, ...]

    def reads(self, results: Results) -> Sequence[Read]:
        return (Read("twin-get", {"tags": list(self.names)}),)

    def text(self, results: Results) -> str:
        read = Read("twin-get", {"tags": list(self.names)})
        answer = results.of(read)
        if answer is None or answer.problem:
            return _unread(read, answer.problem if answer else "")
        lines = [f"{one.get('tag')}: {value_told(one)}." for one in rows(answer.result, "tags")]
        unknown = answer.result.get("unknown") if isinstance(answer.result, dict) else None
        lines += [f"There is no tag {name!r}." for name in unknown or ()]
        return "\n".join(lines) or "Nothing is known of that."


_MOST_NAMED: Final = 60


def topic_of(clause: Clause, facts: Facts, catalogue: Known) -> Topic:
    """What a clause asks about."""
    tokens = clause.tokens
    said = frozenset(token.text for token in tokens if token.kind == "word")
    handle = next((token.text for token in tokens if _HANDLE.fullmatch(token.text)), "")
    if handle or clause.mood == "why":
        return _command(handle or facts.last_handle or facts.last_command)
    if {"can", "you"} <= said or (
        said & _HELP and (said & words("help what which available can abilities") or len(said) < 3)
    ):
        return Said(catalogue.help)
    known, assets = catalogue.by_name, catalogue.matcher.assets
    for tool, about in _SUBJECTS:
        if said & about and tool in known:
            return Plain(Read(tool, {}))
    for about in (_ALARMS, _FINDINGS):
        if said & about:
            return _by_name(about, known)
    if said & PAST:
        return _past(clause, catalogue)
    if tags := tuple(token.text for token in tokens if _is_tag(token, assets)):
        return Tag(tags)
    return Value(
        said, _assets(assets, tokens), bool(said & _STATUS) or said <= words("how is it get show the")
    )


def _past(clause: Clause, catalogue: Known) -> Topic:
    age = age_of(clause.tokens)
    if _HISTORY not in catalogue.by_name:
        return Said(_NO_HISTORY)
    if not age:
        return Said(_WHICH_TIME)
    said = frozenset(token.text for token in clause.tokens if token.kind == "word") - PAST
    return Past(Value(said, _assets(catalogue.matcher.assets, clause.tokens), wants_all=False), age)


def _command(handle: str) -> Topic:
    if not handle:
        return Said("No command was given in this conversation. Name one, such as: why was c12 denied?")
    return Plain(Read("command-status", {"command": handle}))


def _by_name(about: frozenset[str], known: dict[str, ToolListed]) -> Topic:
    """The tool for alarms or findings, whatever it is called; without one that is said."""
    for name, tool in known.items():
        stems = {part.rstrip("s") for part in name.split("-")}
        if (
            tool.kind == "read"
            and stems & {word.rstrip("s") for word in about}
            and not tool.arguments.get("required")
        ):
            return Plain(Read(name, {}))
    return Said(f"Nothing here tells {max(about)} yet. Ask for the sources, or for the status of an asset.")


def _assets(assets: Assets, tokens: tuple[Token, ...]) -> frozenset[str] | None:
    return assets.named(tokens).assets or None


def _is_tag(token: Token, assets: Assets) -> bool:
    if token.kind != "word" or "." not in token.text:
        return False
    return token.text.split(".")[0] not in {name.lower() for name in assets.names}


def _unread(read: Read, problem: str) -> str:
    return f"I could not read that ({read.tool}): {problem or 'it was not asked'}."


def _sources_told(result: Any) -> str:
    lines = []
    for one in rows(result, "sources"):
        state = "up" if one.get("is_up") else f"down ({one.get('cause') or 'no cause known'})"
        lines.append(f"{one.get('source')}: {state}, {one.get('tags')} tags.")
    return "\n".join(lines) or "No source is known."
