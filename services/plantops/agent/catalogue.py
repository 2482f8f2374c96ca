"""The tools that a chain may use: asked of the tool service, in the agent's name, with the chain in it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec
import structlog

from plantops.agent.offering import plainly
from plantops.agent.port import LanguageModel
from plantops.events.base import PrincipalName, Record, SiteName, encode_json
from plantops.events.queries import ProblemDetail, read_answer
from plantops.events.subjects import service
from plantops.events.tooling import CatalogueAsked, CatalogueTold, ToolAsked, ToolListed, ToolTold
from plantops.flow.bus import Bus
from plantops.flow.tool_pages import whole_catalogue
from plantops.runtime.errors import BrokerError, BrokerUnavailable, Refused

SIMULATE: Final = "simulate"
REASON: Final = "reason"
"""What every operation takes beside its own arguments: the intent's mode and reason."""

CURSOR: Final = "cursor"
"""What every read takes beside its own: where the page before ended."""

_CURSOR: Final[dict[str, Any]] = {
    "type": "string",
    "description": "`next` of the page before; leave it out for the first page.",
}
_FRESH_SECONDS: Final = 5.0
_KEPT: Final = 500
_MOST_PLAIN: Final = 10_000

T = TypeVar("T", bound=Record)

log = structlog.get_logger("plantops.agent")


@dataclass
class Catalogue:
    """What the tool service says. A list is kept for some seconds: what is really allowed, the service and
    the gate judge again at each call."""

    site: SiteName
    client: Bus
    seconds: float = 10.0
    _lists: OrderedDict[tuple[PrincipalName, ...], tuple[float, tuple[ToolListed, ...]]] = field(
        default_factory=OrderedDict, repr=False
    )
    _plain: dict[int, tuple[ToolListed, ToolListed]] = field(default_factory=dict, repr=False)

    async def known(self, chain: tuple[PrincipalName, ...]) -> tuple[ToolListed, ...]:
        """All reads that the chain may use, and every operation: whether it may be asked is the gate's word,
        with its reason. With what a call may say beside. An older list while nobody answers.

        Raises: Refused with the service's reason; BrokerError when there was never an answer.
        """
        found = self._lists.get(chain)
        if found is not None and time.monotonic() - found[0] < _FRESH_SECONDS:
            return found[1]
        try:
            told = await whole_catalogue(self._page, CatalogueAsked(on_behalf_of=chain))
            every = await whole_catalogue(self._page, CatalogueAsked(on_behalf_of=chain, all=True))
        except BrokerError as error:
            if found is None:
                raise
            log.info("agent.old_catalogue", reason=error.message)
            return found[1]
        usable = {tool.name for tool in told.tools}
        tools = tuple(_extended(tool) for tool in every.tools if _is_for(tool, usable))
        self._lists[chain] = (time.monotonic(), tools)
        self._lists.move_to_end(chain)
        while len(self._lists) > _KEPT:
            self._lists.popitem(last=False)
        return tools

    async def offered(
        self, chain: tuple[PrincipalName, ...], words: str, known: Sequence[ToolListed], model: LanguageModel
    ) -> tuple[ToolListed, ...]:
        """The best for `words` with every safe-direction operation; all that are known where the model wants
        that, where there are no more, or where the search gives no answer. None has a free text of the plant.
        """
        if model.most_tools == 0 or len(known) <= model.most_tools:
            return self._plainly(known)
        question = CatalogueAsked(query=words, limit=model.most_tools, all=True, on_behalf_of=chain)
        try:
            told = await self._ask("search", question, CatalogueTold)
        except (BrokerError, Refused) as error:
            log.info("agent.no_search", reason=error.message)
            return self._plainly(known)
        usable = {tool.name for tool in known}
        return tuple(plainly(_extended(tool)) for tool in told.tools if _is_for(tool, usable))

    def _plainly(self, known: Sequence[ToolListed]) -> tuple[ToolListed, ...]:
        """Made once for each tool that is known: a turn of the rules is shorter than a large catalogue."""
        if len(self._plain) > _MOST_PLAIN:
            self._plain.clear()
        # Beside each its origin, which so keeps its identity.
        return tuple(self._plain_of(tool) for tool in known)

    def _plain_of(self, tool: ToolListed) -> ToolListed:
        kept = self._plain.get(id(tool))
        if kept is None:
            kept = self._plain[id(tool)] = (tool, plainly(tool))
        return kept[1]

    async def call(self, asked: ToolAsked) -> ToolTold:
        """Have a tool read. Raises: Refused with the service's reason, BrokerError."""
        return await self._ask("call", asked, ToolTold)

    async def _page(self, asked: CatalogueAsked) -> CatalogueTold:
        return await self._ask("list", asked, CatalogueTold)

    async def _ask(self, verb: str, question: Record, kind: type[T]) -> T:
        subject = f"{service('tool', self.site, self.client.identity)}.{verb}"
        reply = await self.client.request(subject, encode_json(question), timeout=self.seconds)
        try:
            told = read_answer(reply.data, kind)
        except msgspec.DecodeError as error:
            raise BrokerUnavailable(f"the answer on {subject} cannot be read: {error}") from error
        if isinstance(told, ProblemDetail):
            raise Refused(told.message, reason=told.code)
        return told


def _is_for(tool: ToolListed, usable: set[str]) -> bool:
    return tool.kind == "operation" or tool.name in usable


def _extended(tool: ToolListed) -> ToolListed:
    """A read with its cursor, which the service takes beside the arguments."""
    properties = tool.arguments.get("properties", {})
    if tool.kind != "read" or CURSOR in properties:
        return tool
    return msgspec.structs.replace(
        tool, arguments={**tool.arguments, "properties": {**properties, CURSOR: _CURSOR}}
    )
