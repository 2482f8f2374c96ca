"""The chat's door: `ask`, `watch`, `list`, `reset` on `door.chat.<site>.<own name>.<verb>`.

It stores a question and answers none: whichever host is given the turn does. Any host may be asked anything;
the one that works on a turn tells its words as they come, the others what is stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeAlias, TypeVar

import msgspec
import structlog

from plantops.agent.asker import Asker, asker_of
from plantops.agent.budgets import Budgets
from plantops.agent.conversation import Conversation, Turn, stored_name
from plantops.agent.core import end
from plantops.agent.live import Live
from plantops.agent.settings import AgentSettings
from plantops.agent.store import Held, Store
from plantops.agent.telling import turn_listed, turn_told
from plantops.events import Event
from plantops.events.base import PrincipalName, Record, SiteName, encode_json
from plantops.events.chatting import (
    ChatAsked,
    ChatTaken,
    ConversationsAsked,
    ConversationTold,
    ResetAsked,
    ResetDone,
    TurnAskedFor,
    TurnTold,
)
from plantops.events.conversation import ConversationReset, TurnAsked
from plantops.events.envelope import Message
from plantops.events.queries import problem
from plantops.policy.in_force import InForce
from plantops.runtime.errors import BrokerError, BrokerUnavailable, Conflict, Refused, TrustError

MAX_BYTES: Final = 256 * 1024
MAX_WAIT_SECONDS: Final = 30.0
MAX_LISTED: Final = 200
MAX_KEY: Final = 128
MAX_REASON: Final = 1024
_LOOK_SECONDS: Final = 0.25
_ATTEMPTS: Final = 20
_UNREADABLE: Final = (ValueError, OverflowError, RecursionError)

Q = TypeVar("Q", ChatAsked, TurnAskedFor, ConversationsAsked, ResetAsked)
Verb: TypeAlias = Callable[[Message], Awaitable[Record]]

log = structlog.get_logger("plantops.agent.door")


@dataclass
class Door:
    """Answers each request with its own struct or a problem.

    `agent` is the principal that proposes. `refused` is told subject and reason of what was turned away.
    """

    site: SiteName
    store: Store
    budgets: Budgets
    live: Live
    in_force: InForce
    settings: AgentSettings
    agent: PrincipalName
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    refused: Callable[[str, str], None] = lambda _subject, _reason: None
    _open: dict[PrincipalName, set[tuple[str, int]]] = field(default_factory=dict, repr=False)

    async def answer(self, message: Message) -> bytes:
        """Handles `door.chat.<site>.>`."""
        try:
            return encode_json(await self._verb(message)(message))
        except BrokerError as error:
            return problem("unavailable", f"{error}; try again with the same key")
        except Refused as error:
            return self._refused(message, error.reason, error)
        except TrustError as error:
            return self._refused(message, "not_trusted", error)
        except _UNREADABLE as error:
            return self._refused(message, "malformed", error)

    def _verb(self, message: Message) -> Verb:
        verbs: dict[str, Verb] = {
            "ask": self._ask,
            "watch": self._watch,
            "list": self._list,
            "reset": self._reset,
        }
        verb = message.subject.rpartition(".")[2]
        if verb not in verbs:
            raise Refused(f"{verb[:64]!r} is none of {', '.join(verbs)}", reason="unknown_verb")
        if len(message.data) > MAX_BYTES:
            raise Refused(f"{len(message.data)} bytes, the limit is {MAX_BYTES}", reason="too_large")
        return verbs[verb]

    def _refused(self, message: Message, reason: str, error: Exception) -> bytes:
        log.info("chat.refused", subject=message.subject[:256], reason=reason)
        self.refused(message.subject[:256], f"{reason}: {error}"[:MAX_REASON])
        return problem(reason, str(error))

    def _read(self, message: Message, kind: type[Q]) -> tuple[Q, Asker]:
        """The question and who asks it. A field that the door does not know is refused, not skipped."""
        question = msgspec.json.decode(message.data or b"{}", type=kind)
        names = msgspec.json.decode(message.data or b"{}", type=dict[str, msgspec.Raw]).keys()
        if strangers := sorted(names - set(kind.__struct_fields__)):
            raise Refused(
                f"no {strangers[0][:64]!r} here; there are {', '.join(kind.__struct_fields__)}",
                reason="malformed",
            )
        asker = asker_of(message, self.in_force.keyring, question.on_behalf_of, agent=self.agent)
        if message.subject.split(".")[3:4] != [asker.login]:
            raise Refused(f"{asker.login} asks by its own name", reason="subject_differs")
        return question, asker

    # ask

    async def _ask(self, message: Message) -> ChatTaken:
        question, asker = self._read(message, ChatAsked)
        text = question.message.strip()
        if not text or len(text) > self.settings.message_characters:
            raise Refused(
                f"a message of 1 to {self.settings.message_characters} characters is taken",
                reason="too_large" if text else "malformed",
            )
        if len(question.key) > MAX_KEY:
            raise Refused(f"a key of at most {MAX_KEY} characters is taken", reason="too_large")
        key = question.key or secrets.token_hex(12)
        conversation = question.conversation or _new_name(asker.person, question.key)
        name = stored_name(asker.person, conversation)
        held = self.store.kept(name)
        is_charged = False
        for _attempt in range(_ATTEMPTS):
            if known := held.state.by_key(key):
                return _repeated(conversation, known, text)
            self._may_ask(held.state)
            if not is_charged:
                await self._charge(asker.person)
                is_charged = True
            try:
                held = await self.store.append(held, self._asked(name, held.state, text, asker, key))
            except Conflict:
                held = await self.store.load(name)
                continue
            turn = len(held.state.turns)
            self._open.setdefault(asker.person, set()).add((name, turn))
            return ChatTaken(conversation=conversation, turn=turn)
        raise BrokerUnavailable(f"{conversation} changes all the time", stream="AGENT")

    def _may_ask(self, state: Conversation) -> None:
        if state.open is not None:
            raise Refused(
                f"turn {state.open.asked.turn} is not answered yet: watch it, or reset the conversation",
                reason="turn_open",
            )
        if len(state.turns) >= self.settings.conversation_turns:
            raise Refused(
                f"this conversation has {len(state.turns)} turns: begin another one",
                reason="conversation_full",
            )

    async def _charge(self, person: PrincipalName) -> None:
        most = self.settings.budget.open_turns
        if len(self._open.get(person, ())) >= most and await self._still_open(person) >= most:
            await self.budgets.exceeded(person, "concurrency", most)
            raise Refused(
                f"{most} turns of {person} are not answered yet: wait for one of them", reason="busy"
            )
        if (over := await self.budgets.take_turn(person)) is not None:
            raise Refused(
                f"the budget of {person} is used up ({over.what}, limit {over.limit:g}): it opens again at"
                f" {over.until:%Y-%m-%d %H:%M:%S} UTC",
                reason="over_budget",
            )

    async def _still_open(self, person: PrincipalName) -> int:
        """How many of the turns that were taken here wait still. Raises: BrokerError."""
        for name, number in tuple(self._open.get(person, ())):
            state = (await self.store.load(name)).state
            turn = state.turn(number)
            if turn is None or turn.ended is not None:
                self._open[person].discard((name, number))
        return len(self._open.get(person, ()))

    def ended(self, name: str) -> None:
        """Something was stored in a conversation: what has ended in it is not counted as open any more."""
        held = self.store.kept(name)
        person = held.state.person
        if person is None or held.state.open is not None:
            return
        here = self._open.get(person)
        if here is not None:
            here.discard((name, len(held.state.turns)))
            if not here:
                del self._open[person]

    def _asked(self, name: str, state: Conversation, text: str, asker: Asker, key: str) -> TurnAsked:
        return TurnAsked(
            site=self.site,
            conversation=name,
            turn=len(state.turns) + 1,
            question=text,
            asker=asker.login,
            on_behalf_of=asker.on_behalf_of,
            key=key,
            asked_at=self.now(),
        )

    # watch, list, reset

    async def _watch(self, message: Message) -> TurnTold:
        question, asker = self._read(message, TurnAskedFor)
        name = stored_name(asker.person, question.conversation)
        deadline = time.monotonic() + min(max(question.wait_seconds, 0.0), MAX_WAIT_SECONDS)
        held = self.store.kept(name)
        if held.state.turn(question.turn) is None:
            held = await self.store.load(name)
        while True:
            with self.live.news(name) as news:
                told = self._told(held, question)
                left = 0.0 if self.live.is_closed else deadline - time.monotonic()
                if told.status != "open":
                    return told  # it never changes
                if told.revision > question.after or left <= 0:
                    return told
                heard, _waiting = await asyncio.wait((news,), timeout=min(left, _LOOK_SECONDS))
            # What is stored and worked on here is heard of; of the rest the stream is asked now and then.
            is_known = bool(heard) or self.live.speech(name) is not None
            held = self.store.kept(name) if is_known else await self.store.load(name)

    def _told(self, held: Held, question: TurnAskedFor) -> TurnTold:
        turn = held.state.turn(question.turn)
        if turn is None:
            raise Refused(
                f"there is no turn {question.turn} in {question.conversation!r} of yours",
                reason="unknown_turn",
            )
        return turn_told(question.conversation, held.state, turn, self.live.speech(held.name))

    async def _list(self, message: Message) -> ConversationTold:
        question, asker = self._read(message, ConversationsAsked)
        held = await self.store.load(stored_name(asker.person, question.conversation))
        newest = held.state.turns[-max(1, min(question.limit, MAX_LISTED)) :]
        return ConversationTold(
            conversation=question.conversation, turns=tuple(turn_listed(turn) for turn in newest)
        )

    async def _reset(self, message: Message) -> ResetDone:
        question, asker = self._read(message, ResetAsked)
        name = stored_name(asker.person, question.conversation)
        for _attempt in range(_ATTEMPTS):
            held = await self.store.load(name)
            if held.state.reset == len(held.state.turns) and held.state.open is None:
                return ResetDone(conversation=question.conversation)
            events: list[Event] = []
            if (turn := held.state.open) is not None:
                text = "Cancelled by a reset. What was commanded before is under way all the same."
                events.append(end(turn, "cancelled", text))
            events.append(
                ConversationReset(
                    site=self.site, conversation=name, turn=len(held.state.turns), by=asker.person
                )
            )
            try:
                await self.store.append(held, *events)
            except Conflict:
                continue
            return ResetDone(conversation=question.conversation)
        raise BrokerUnavailable(f"{question.conversation} changes all the time", stream="AGENT")


def _new_name(person: PrincipalName, key: str) -> str:
    """A conversation of its own; under a key the same one again."""
    if not key:
        return f"c{secrets.token_hex(8)}"
    digest = hashlib.sha256(f"{person}\0{key}".encode()).hexdigest()
    return f"k{digest[:24]}"


def _repeated(conversation: str, known: Turn, text: str) -> ChatTaken:
    if known.asked.question != text:
        raise Refused("this key was used for another message: take a new one", reason="key_conflict")
    return ChatTaken(conversation=conversation, turn=known.asked.turn, repeated=True)
