"""What the agent does next, from what a conversation holds. Pure: same events, same requests and intents.

Models and tools are asked by the shell (`turns`); whatever they say comes back as an event. A model's calls
are made only after its reply is stored, and each has its own name, so that a turn which was interrupted
anywhere goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias

from plantops.agent.conversation import Conversation, Turn
from plantops.agent.own_words import SAY, foreign_passages, how_to_say
from plantops.agent.port import (
    Facts,
    Limits,
    ModelReply,
    ModelRequest,
    ModelSaid,
    Part,
    PersonSaid,
    ToolGave,
)
from plantops.events.base import CommandId, Digest, PrincipalName, Scalar, encode_json
from plantops.events.command_parts import Intent, Mode
from plantops.events.conversation import (
    ModelReplied,
    ToolAnswered,
    ToolCall,
    ToolOutcome,
    TurnEnded,
    TurnStatus,
)
from plantops.events.provenance import Provenance
from plantops.events.tooling import ToolListed

INTENT_LIFE: Final = timedelta(minutes=30)
"""From the question on; a turn is answered long before."""

MAX_DERIVED: Final = 64
"""As many names as the gate's door takes."""

_MAX_NAME: Final = 256
_MAX_TEXT: Final = 32_000
_NOTHING_SAID: Final = "I have no answer to that."


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one turn may take. With the last step no tool is offered any more.

    `seconds` is the time of a whole turn, `model_seconds` that of one reply. `shown_turns` and
    `shown_characters` bound what a model is shown of the turns before; the present one is shown whole.
    """

    steps: int = 8
    calls: int = 8
    tokens: int = 100_000
    seconds: float = 120.0
    reply_tokens: int = 1024
    model_seconds: float = 60.0
    shown_turns: int = 20
    shown_characters: int = 60_000


@dataclass(frozen=True, slots=True)
class AskModel:
    """Ask a model; `build_request` says what."""

    step: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class MakeCalls:
    """Make these calls of a reply. `excess` are beyond what one reply may want: they are refused."""

    reply: ModelReplied
    calls: tuple[ToolCall, ...]
    excess: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class EndTurn:
    """It is answered."""

    ended: TurnEnded


NextStep: TypeAlias = AskModel | MakeCalls | EndTurn


def next_step(state: Conversation, bounds: Bounds, *, is_late: bool = False) -> NextStep | None:
    """What is to be done for the open turn; None when there is none. `is_late`: its time is over."""
    turn = state.open
    if turn is None:
        return None
    if is_late:
        return EndTurn(end(turn, "failed", f"This took longer than {bounds.seconds:g} s. {_so_far(turn)}"))
    last = turn.replies[-1] if turn.replies else None
    if last is None:
        return AskModel(1, is_last=bounds.steps <= 1)
    if last.calls and last.step < bounds.steps:
        if missing := turn.unanswered:
            allowed = {call.id for call in last.calls[: bounds.calls]}
            return MakeCalls(
                last,
                tuple(call for call in missing if call.id in allowed),
                tuple(call for call in missing if call.id not in allowed),
            )
        spent = sum(reply.usage.input_tokens + reply.usage.output_tokens for reply in turn.replies)
        if spent >= bounds.tokens:
            text = f"This took {spent} tokens, the limit is {bounds.tokens}. {_so_far(turn)}"
            return EndTurn(end(turn, "over_budget", text))
        return AskModel(last.step + 1, is_last=last.step + 1 >= bounds.steps)
    return EndTurn(end(turn, "answered", last.text or _NOTHING_SAID))


def build_request(
    state: Conversation,
    ask: AskModel,
    bounds: Bounds,
    *,
    offered: Sequence[ToolListed],
    known: Sequence[ToolListed],
) -> ModelRequest:
    """What a model is shown for the open turn."""
    turn = state.turns[-1]
    asked = turn.asked
    return ModelRequest(
        site=asked.site,
        conversation=asked.conversation,
        turn=asked.turn,
        step=ask.step,
        parts=tuple(_shown(state, bounds)),
        tools=() if ask.is_last else tuple(offered),
        chain=turn.chain,
        facts=_facts(state, known),
        limits=Limits(max_tokens=bounds.reply_tokens, seconds=bounds.model_seconds),
        is_last=ask.is_last,
    )


def accept(request: ModelRequest, reply: ModelReply, digest: Digest) -> ModelReplied:
    """A reply as it is stored: its calls under names of ours, its text bounded."""
    calls = () if request.is_last else reply.calls
    return ModelReplied(
        site=request.site,
        conversation=request.conversation,
        turn=request.turn,
        step=request.step,
        provider=reply.provider,
        model=reply.model,
        text=_cut(reply.text),
        calls=tuple(
            ToolCall(
                id=f"t{request.turn}s{request.step}c{number}",
                tool=call.tool[:_MAX_NAME],
                arguments=call.arguments,
            )
            for number, call in enumerate(calls, start=1)
        ),
        usage=reply.usage,
        offered=tuple(tool.name for tool in request.tools),
        request=digest,
        fell_back_from=reply.fell_back_from,
        problem=reply.problem,
    )


def answer(
    reply: ModelReplied, call: ToolCall, outcome: ToolOutcome, content: str, provenance: Iterable[Provenance]
) -> ToolAnswered:
    """What came of a call, as it is stored."""
    return ToolAnswered(
        site=reply.site,
        conversation=reply.conversation,
        turn=reply.turn,
        step=reply.step,
        call=call.id,
        outcome=outcome,
        content=content,
        provenance=tuple(provenance),
    )


def refusal(reply: ModelReplied, call: ToolCall, reason: str) -> ToolAnswered:
    """A call that was not made. `reason` is our own word, for the model too."""
    outcome = ToolOutcome(tool=call.tool, status="failed", success=False, error=reason)
    return answer(reply, call, outcome, encode_json({"error": reason}).decode(), ())


def end(turn: Turn, status: TurnStatus, reply: str) -> TurnEnded:
    """The end of a turn, with what its calls came to; results of reads stand in their own events."""
    outcomes = tuple(answered.outcome for answered in turn.answered)
    reply = "\n".join((reply, *_not_sent(outcomes, reply)))
    waiting = next((one for one in reversed(outcomes) if one.status == "pending_approval"), None)
    rests_on = dict.fromkeys(one for answered in turn.answered for one in answered.provenance)
    return TurnEnded(
        site=turn.asked.site,
        conversation=turn.asked.conversation,
        turn=turn.asked.turn,
        status=status,
        reply=_cut(reply),
        outcomes=outcomes,
        pending_approval=waiting is not None,
        waiting_for=waiting.command if waiting else CommandId(""),
        handle=waiting.handle if waiting else "",
        provenance=tuple(rests_on),
    )


def _not_sent(outcomes: Iterable[ToolOutcome], reply: str) -> Iterator[str]:
    """What was withheld is told whatever the model says of it, once each."""
    told = {one.result[SAY]: one for one in outcomes if isinstance(one.result, dict) and SAY in one.result}
    for say in told:
        if say not in reply:
            yield f"I did not send a stop that I only read about. If you want it, say: {say}"


def intent_of(
    state: Conversation,
    reply: ModelReplied,
    call: ToolCall,
    tool: ToolListed,
    *,
    actor: PrincipalName,
    model: Digest,
    arguments: Mapping[str, Scalar],
    mode: Mode,
    reason: str = "",
    is_own: bool = False,
) -> Intent:
    """What a call asks of the gate. The same bytes however often it is made: it is one command.

    `is_own`: it is the person's own word, and so rests on nothing that was read.
    """
    turn = state.turns[reply.turn - 1]
    key = f"{reply.conversation}/{call.id}"
    return Intent(
        site=reply.site,
        asset=tool.asset,  # type: ignore[arg-type]  # a plain name in the catalogue
        operation=tool.operation,  # type: ignore[arg-type]  # likewise
        arguments=dict(arguments),
        mode=mode,
        actor=actor,
        on_behalf_of=turn.chain,
        key=key,
        nonce=hashlib.sha256(key.encode()).hexdigest()[:24],
        issued_at=turn.asked.asked_at,
        expires_at=turn.asked.asked_at + INTENT_LIFE,
        model=model,
        reason=reason,
        derived_from=() if is_own else rests_on(state, reply),
    )


def rests_on(state: Conversation, reply: ModelReplied) -> tuple[str, ...]:
    """Names of all that the model was shown before this reply and that the person did not say himself."""
    before = _before(state, reply)
    return derived_from(before.seen(), foreign_passages(before.visible))


def withheld(
    reply: ModelReplied, call: ToolCall, tool: ToolListed, arguments: Mapping[str, Scalar]
) -> ToolAnswered:
    """A stop that the model proposes upon what it read: an act too, so the person says it himself."""
    say = how_to_say(tool, arguments)
    reason = f"not sent: it rests on what was read, and the person did not ask for it. To have it: {say}"
    outcome = ToolOutcome(tool=call.tool, status="failed", success=False, error=reason, result={SAY: say})
    return answer(reply, call, outcome, encode_json({"error": reason}).decode(), ())


def derived_from(seen: Sequence[Provenance], passages: Sequence[str] = ()) -> tuple[str, ...]:
    """Names for an intent: `tag:plc1.speed@TAGS:1234`. The same thing read twice counts once, as read last.

    Of more than the gate's door takes the last name says how many others there are, and their digest.
    """
    last: dict[str, Provenance] = {f"{one.channel}:{one.name}": one for one in seen}
    names = [
        (f"{name}@{one.stream}:{one.sequence}" if one.stream else name)[:_MAX_NAME]
        for name, one in last.items()
    ]
    names = [*passages, *names]
    if len(names) <= MAX_DERIVED:
        return tuple(names)
    kept, rest = names[: MAX_DERIVED - 1], names[MAX_DERIVED - 1 :]
    digest = hashlib.sha256("\n".join(rest).encode()).hexdigest()[:16]
    return (*kept, f"more:{len(rest)}@{digest}")


def _before(state: Conversation, reply: ModelReplied) -> Conversation:
    """As it was when the model gave this reply: what came of its own calls it had not seen."""
    turn = state.turns[reply.turn - 1]
    own = {call.id for call in reply.calls}
    seen = {name: answered for name, answered in turn.answers.items() if name not in own}
    before = Turn(turn.asked, turn.replies[: reply.step], seen)
    return Conversation((*state.turns[: reply.turn - 1], before), state.reset)


def _shown(state: Conversation, bounds: Bounds) -> Iterator[Part]:
    *earlier, present = state.visible
    shown: list[list[Part]] = [list(_parts(present))]
    left = bounds.shown_characters
    for turn in reversed(earlier[max(0, len(earlier) - bounds.shown_turns) :]):
        parts = list(_parts(turn))
        left -= sum(map(_length, parts))
        if left < 0:
            break
        shown.append(parts)
    for parts in reversed(shown):
        yield from parts


def _parts(turn: Turn) -> Iterator[Part]:
    number = turn.asked.turn
    yield PersonSaid(turn=number, text=turn.asked.question)
    for reply in turn.replies:
        made = tuple(call for call in reply.calls if call.id in turn.answers)
        if reply.text or made:
            yield ModelSaid(turn=number, step=reply.step, text=reply.text, calls=made)
        for call in made:
            answered = turn.answers[call.id]
            yield ToolGave(
                turn=number,
                step=reply.step,
                call=call.id,
                tool=call.tool,
                content=answered.content,
                outcome=answered.outcome,
                provenance=answered.provenance,
            )
    said = turn.replies[-1].text if turn.replies else ""
    if turn.ended is not None and turn.ended.reply != said:
        yield ModelSaid(turn=number, step=len(turn.replies) + 1, text=turn.ended.reply)


def _length(part: Part) -> int:
    match part:
        case PersonSaid():
            return len(part.text)
        case ModelSaid():
            return len(part.text) + sum(len(encode_json(call.arguments)) for call in part.calls)
        case ToolGave():
            return len(part.content)


def _facts(state: Conversation, known: Sequence[ToolListed]) -> Facts:
    outcomes = [
        answered.outcome for turn in state.visible for answered in turn.answered if answered.outcome.command
    ]
    last = outcomes[-1] if outcomes else None
    waiting = next((one for one in reversed(outcomes) if one.status == "pending_approval"), None)
    return Facts(
        asked_at=state.turns[-1].asked.asked_at,
        known=tuple(known),
        last_command=last.command if last else CommandId(""),
        last_handle=last.handle if last else "",
        waiting_for=waiting.command if waiting else CommandId(""),
        waiting_handle=waiting.handle if waiting else "",
    )


def _so_far(turn: Turn) -> str:
    """What was done all the same, in our own words."""
    done = [one.outcome for one in turn.answered if one.outcome.command]
    told = [f"{one.tool} ({one.handle or one.command}): {one.status}" for one in done]
    told += [f"{call.tool}: perhaps, look at the commands" for call in turn.unanswered]
    return f"Commanded: {'; '.join(told)}." if told else "Nothing was commanded."


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… (cut)"
