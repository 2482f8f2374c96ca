"""The deterministic provider: no network, no key, the same answer to the same words.

It reads the person's last words, proposes the operations they name, reads what they ask for, and words what
came of both. A tool's result is worded; it is never a reason to command something, and no part of it is ever
taken for what a person said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from plantops.agent.models.rules.catalogue import SIMULATE
from plantops.agent.models.rules.command_words import outcome_told
from plantops.agent.models.rules.commands import Proposal
from plantops.agent.models.rules.known import Kept, Known
from plantops.agent.models.rules.plan import Plan, plan_with
from plantops.agent.models.rules.results import Read, Results
from plantops.agent.models.rules.topics import Plain, Said, Topic, topic_of
from plantops.agent.port import ModelReply, ModelRequest, OnText, PersonSaid
from plantops.events.conversation import ToolCall

NAME: Final = "rules"
VERSION: Final = "rules-1"
EXPLAIN: Final = "policy-explain"


class RulesModel:
    """See the module. It wants all tools, costs nothing and never fails."""

    name = NAME
    most_tools = 0

    def __init__(self) -> None:
        self._kept = Kept()

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """One reply; pure but for `on_text`."""
        reply = reply_to(request, self._kept.of(request.facts.known or request.tools))
        if reply.text:
            on_text(reply.text)
        return reply

    async def close(self) -> None:
        """Nothing is open."""


def reply_to(request: ModelRequest, known: Known | None = None) -> ModelReply:
    """What the rules say to a request; `known` are its tools, read already."""
    known = known or Known(request.facts.known or request.tools)
    own = [part for part in request.parts if isinstance(part, PersonSaid)]
    before = [part.text for part in own if part.turn < request.turn]
    words = next((part.text for part in reversed(own) if part.turn == request.turn), "")
    turn = _Turn(request, plan_with(words, known.matcher, before), known)
    calls = [] if request.is_last else [*turn.operations_due(), *turn.reads_due()]
    text = turn.lead() if calls else turn.answer()
    return ModelReply(
        text=text,
        calls=tuple(
            ToolCall(id=f"r{request.step}-{number}", tool=tool, arguments=arguments)
            for number, (tool, arguments) in enumerate(calls, start=1)
        ),
        provider=NAME,
        model=VERSION,
        exact=True,
    )


class _Turn:
    """A plan, held against what was done of it in this turn already."""

    def __init__(self, request: ModelRequest, plan: Plan, known: Known) -> None:
        self._request, self._plan = request, plan
        self._offered = {tool.name for tool in request.tools}
        self._catalogue, self._known = known, known.by_name
        self._results = Results(request)
        asked = [topic_of(one.clause, request.facts, known) for one in plan.asked]
        self._topics: list[Topic] = [*asked, *(self._explain(one) for one in plan.explain)]
        self._done = [
            (call, gave)
            for call, gave in self._results.operations
            if call.tool in self._known and self._known[call.tool].kind == "operation"
        ]

    def operations_due(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The next operations: all up to one that waits for what is not done yet.

        Each counts as made when its tool was called in this turn, by whoever: after a fall-back in the middle
        of a turn nothing is commanded twice.
        """
        made = [call.tool for call, _ in self._done]
        is_first = True
        for one in self._plan.proposals:
            name = one.operation.tool.name
            if name in made:
                made.remove(name)
                continue
            if one.waits and not (is_first and self._went_well()):
                return
            if name in self._offered:
                yield name, self._arguments(one)
            is_first = False

    def reads_due(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Reads that an answer still takes, each once."""
        wanted: dict[bytes, Read] = {}
        for topic in self._topics:
            for read in self._results.missing(topic.reads(self._results)):
                if read.tool in self._offered:
                    wanted[read.key] = read
        for read in wanted.values():
            yield read.tool, dict(read.arguments)

    def lead(self) -> str:
        """What is said beside calls: only what would be lost, once."""
        return "\n".join(self._plan.says) if self._request.step == 1 else ""

    def answer(self) -> str:
        """The last words of a turn."""
        lines = list(self._plan.says)
        lines += [outcome_told(gave.outcome, call, self._known[call.tool]) for call, gave in self._done]
        lines += self._left_out()
        lines += [topic.text(self._results) for topic in self._topics]
        if self._plan.is_nod and not self._plan.proposals:
            lines.append(self._nod())
        if self._plan.is_lost or not lines:
            lines.append(f"I did not understand that, so I propose nothing.\n{self._catalogue.help}")
        return "\n".join(line for line in lines if line)

    def _left_out(self) -> Iterator[str]:
        made = [call.tool for call, _ in self._done]
        for one in self._plan.proposals:
            if one.operation.tool.name in made:
                made.remove(one.operation.tool.name)
            elif one.operation.tool.name not in self._offered and not self._request.is_last:
                yield f"{one.operation.title} is not offered in this turn. Please ask for it again by itself."
            else:
                yield f"Not asked for: {one.operation.title}, since what stands before it is not done."

    def _went_well(self) -> bool:
        """Whether everything before is done; simulated counts when a simulation was wanted."""
        wanted = ("simulated_only",) if self._plan.simulate else ("completed",)
        return all(gave.outcome.success and gave.outcome.status in wanted for _, gave in self._done)

    def _arguments(self, proposal: Proposal) -> dict[str, Any]:
        arguments: dict[str, Any] = dict(proposal.arguments)
        if self._plan.simulate is not None and proposal.operation.can_simulate:
            arguments[SIMULATE] = self._plan.simulate
        return arguments

    def _explain(self, proposal: Proposal) -> Topic:
        tool = self._known.get(EXPLAIN)
        if tool is None:
            return Said(f"Nothing here explains that. Ask for {proposal.operation.title}: the gate decides.")
        takes = tool.arguments.get("properties") or {}
        offered: dict[str, Any] = {
            "asset": proposal.operation.tool.asset,
            "operation": proposal.operation.tool.operation,
            "arguments": dict(proposal.arguments),
        }
        return Plain(Read(EXPLAIN, {name: value for name, value in offered.items() if name in takes}))

    def _nod(self) -> str:
        facts = self._request.facts
        waiting = facts.waiting_handle or facts.waiting_for
        if not waiting:
            return "Nothing waits for a yes in this conversation. Say what should be done."
        return (
            f"{waiting} waits for a person. I cannot confirm or approve for anybody: that takes a person's"
            " own key."
        )
