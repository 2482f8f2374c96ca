"""What a model wants, done as far as it may be: reads through the tool service, commands through the gate.

There is no third way, and none of the two takes the model's word for anything. It confirms and approves
nothing: there is no tool for that.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from plantops.agent.catalogue import CURSOR, REASON, SIMULATE, Catalogue
from plantops.agent.conversation import Conversation
from plantops.agent.core import MakeCalls, answer, intent_of, refusal, rests_on, withheld
from plantops.agent.following import Commands, Heard
from plantops.agent.models.rules.known import Kept
from plantops.agent.outcomes import content_of, outcome_of
from plantops.agent.own_words import is_own
from plantops.events.base import PrincipalName, encode_json
from plantops.events.command_parts import INTENT_TYPE, Intent, command_id
from plantops.events.conversation import ModelReplied, OutcomeStatus, ToolAnswered, ToolCall, ToolOutcome
from plantops.events.provenance import Provenance
from plantops.events.queries import IntentTaken, ProblemDetail, read_answer
from plantops.events.subjects import intent as intent_subject
from plantops.events.tooling import ToolAsked, ToolListed
from plantops.flow.bus import Bus
from plantops.flow.insisting import first_answer
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.model.load import Plant
from plantops.policy.arguments import argument_findings
from plantops.policy.document import OperationRule
from plantops.runtime.errors import BrokerError, BrokerUnavailable, NobodyAnswers, Refused

ASK_SECONDS: Final = 5.0
MAX_REASON: Final = 500
_MAX_TEXT: Final = 4096
# Of a command under these answers of the door nobody knows whether it was taken.
_PERHAPS_TAKEN: Final = frozenset(("unavailable", "key_conflict"))


@dataclass
class Hands:
    """Makes the calls of one reply. `key` signs in the name of the agent, whose login `client` is."""

    client: Bus
    key: SigningKey
    plant: Plant
    catalogue: Catalogue
    commands: Commands
    follow_seconds: float
    tool_characters: int
    _kept: Kept = field(default_factory=Kept, repr=False)

    async def make(
        self, state: Conversation, step: MakeCalls, known: Mapping[str, ToolListed]
    ) -> list[ToolAnswered]:
        """What came of each call, in their order. Reads beside one another run at the same time; a command
        waits for what stands before it, and what stands behind waits for it."""
        answers: list[ToolAnswered] = []
        for is_read, group in itertools.groupby(step.calls, lambda call: _is_read(known.get(call.tool))):
            if is_read:
                answers += await asyncio.gather(
                    *(self._make(state, step.reply, call, known) for call in group)
                )
            else:
                for call in group:
                    answers.append(await self._make(state, step.reply, call, known))
        most = len(step.reply.calls) - len(step.excess)
        return answers + [
            refusal(step.reply, call, f"not done: at most {most} calls are made for one reply")
            for call in step.excess
        ]

    async def _make(
        self, state: Conversation, reply: ModelReplied, call: ToolCall, known: Mapping[str, ToolListed]
    ) -> ToolAnswered:
        tool = known.get(call.tool)
        if tool is None or call.tool not in reply.offered:
            return refusal(reply, call, f"there is no tool {call.tool[:64]!r} here: use one that was offered")
        if tool.kind == "read":
            return await self._read(state, reply, call)
        return await self._command(state, reply, call, known)

    async def _read(self, state: Conversation, reply: ModelReplied, call: ToolCall) -> ToolAnswered:
        arguments = dict(call.arguments)
        cursor = arguments.pop(CURSOR, "")
        if not isinstance(cursor, str):
            return refusal(reply, call, f"{CURSOR} must be a text")
        asked = ToolAsked(
            tool=call.tool,
            arguments=arguments,
            on_behalf_of=state.turns[reply.turn - 1].chain,
            cursor=cursor,
            conversation=reply.conversation,
        )
        try:
            told = await self.catalogue.call(asked)
        except (Refused, BrokerError) as error:
            reason = f"{error} ({error.reason})" if isinstance(error, Refused) else f"no answer: {error}"
            refused = refusal(reply, call, reason[:MAX_REASON])
            return msgspec.structs.replace(refused, provenance=(_from(call.tool),))
        shown: dict[str, Any] = {"result": told.result}
        if told.next:
            shown["next"] = told.next
        content = encode_json(shown).decode()
        if len(content) > self.tool_characters:
            over = len(content) - self.tool_characters
            cut = encode_json(told.result).decode()[: self.tool_characters // 2]
            left_out = f"{over} characters too many: this is the beginning, ask for less"
            content = encode_json({"beginning": cut, "left_out": left_out}).decode()
        outcome = ToolOutcome(tool=call.tool, status="read", success=True)
        # A tool that does not say where its result came from leaves it untrusted all the same.
        return answer(reply, call, outcome, content, told.provenance or (_from(call.tool),))

    async def _command(
        self, state: Conversation, reply: ModelReplied, call: ToolCall, known: Mapping[str, ToolListed]
    ) -> ToolAnswered:
        tool, arguments = known[call.tool], dict(call.arguments)
        beside = {
            name: arguments.pop(name)
            for name in (SIMULATE, REASON)
            if name in arguments and name not in self._names(tool)
        }
        simulate, reason = beside.get(SIMULATE, False), beside.get(REASON, "")
        if not isinstance(simulate, bool) or not isinstance(reason, str):
            return refusal(reply, call, f"{SIMULATE} must be true or false, {REASON} a text")
        if problem := self._problem(tool, arguments):
            return refusal(reply, call, f"not sent to the gate: {problem}")
        # Who was shown nothing else can only have it from the person.
        own = not rests_on(state, reply) or self._is_own(
            state, reply, call, known, arguments, simulates=simulate
        )
        if tool.safe_direction and not own:
            return withheld(reply, call, tool, arguments)
        intent = intent_of(
            state,
            reply,
            call,
            tool,
            actor=PrincipalName(self.client.identity),
            model=self.plant.digest,
            arguments=arguments,
            mode="simulate" if simulate else "execute",
            reason=reason[:MAX_REASON],
            is_own=own,
        )
        outcome = await self._send(call.tool, intent, is_safe=tool.safe_direction)
        return answer(reply, call, outcome, *content_of(outcome))

    def _is_own(
        self,
        state: Conversation,
        reply: ModelReplied,
        call: ToolCall,
        known: Mapping[str, ToolListed],
        arguments: Mapping[str, Any],
        *,
        simulates: bool,
    ) -> bool:
        catalogue = self._kept.of(tuple(known.values()))
        tool = known[call.tool]
        return is_own(state, reply, call, tool, arguments, simulates=simulates, known=catalogue)

    def _names(self, tool: ToolListed) -> frozenset[str]:
        asset = self.plant.model.assets.get(tool.asset)
        operation = asset.operations.get(tool.operation) if asset else None
        return frozenset(operation.arguments) if operation else frozenset()

    def _problem(self, tool: ToolListed, arguments: Mapping[str, Any]) -> str:
        """Why these arguments do not fit the model; empty when they do. The gate judges them again."""
        asset = self.plant.model.assets.get(tool.asset)
        operation = asset.operations.get(tool.operation) if asset else None
        if operation is None:
            return f"{tool.asset}.{tool.operation} is not in the model of this host"
        for name, value in arguments.items():
            if not isinstance(value, bool | int | float | str):
                return f"{name} must be a single value"
            if isinstance(value, str) and len(value) > _MAX_TEXT:
                return f"{name} is longer than {_MAX_TEXT} characters"
        wrong = [
            finding.text
            for finding in argument_findings(operation, OperationRule(), arguments)
            if finding.verdict != "true"
        ]
        return "; ".join(wrong)

    async def _send(self, tool: str, intent: Intent, *, is_safe: bool) -> ToolOutcome:
        """Hand it in and follow it. The same intent again is the same command."""
        command = command_id(intent.actor, intent.key)
        with self.commands.hearing(command) as heard:
            try:
                await self._hand_in(intent, is_safe=is_safe)
            except NobodyAnswers:
                return _undone(tool, "failed", "the gate does not answer: nothing was commanded")
            except Refused as error:
                if error.reason not in _PERHAPS_TAKEN:
                    return _undone(tool, "denied", f"{error} ({error.reason})")
            except BrokerUnavailable:
                pass  # perhaps it was taken: the gate will say
            return await self._follow(tool, intent, heard)

    async def _follow(self, tool: str, intent: Intent, heard: Heard) -> ToolOutcome:
        command = command_id(intent.actor, intent.key)
        status = await self.commands.follow(command, heard, seconds=self.follow_seconds)
        return outcome_of(tool, intent, command, status, heard)

    async def _hand_in(self, intent: Intent, *, is_safe: bool) -> None:
        """Raises: Refused with the door's reason, NobodyAnswers, BrokerUnavailable."""
        envelope = dsse.encode(dsse.seal(INTENT_TYPE, encode_json(intent), self.key))
        subject = intent_subject(intent.site, intent.actor, intent.asset, intent.operation)

        async def hand_in(seconds: float) -> None:
            reply = await self.client.request(subject, envelope, timeout=seconds)
            try:
                told = read_answer(reply.data, IntentTaken)
            except ValueError as error:
                raise BrokerUnavailable(f"the door's answer cannot be read: {error}") from error
            if isinstance(told, ProblemDetail):
                raise Refused(told.message, reason=told.code)

        if is_safe:
            await first_answer(hand_in, patience=ASK_SECONDS)
        else:
            await hand_in(ASK_SECONDS)


def _from(tool: str) -> Provenance:
    return Provenance(channel="device", name=f"tool-{tool[:64]}")


def _is_read(tool: ToolListed | None) -> bool:
    return tool is not None and tool.kind == "read"


def _undone(tool: str, status: OutcomeStatus, reason: str) -> ToolOutcome:
    return ToolOutcome(tool=tool, status=status, success=False, error=reason)
