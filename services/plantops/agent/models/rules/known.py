"""A catalogue, read once: the words of hundreds of operations take longer than a whole answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from plantops.agent.models.rules.catalogue import operations_of
from plantops.agent.models.rules.commands import Matcher
from plantops.agent.models.rules.help import help_told
from plantops.events.tooling import ToolListed


class Known:
    """All tools that the chain may use, as the grammar needs them."""

    def __init__(self, tools: Sequence[ToolListed]) -> None:
        self.tools = tuple(tools)
        self.by_name = {tool.name: tool for tool in self.tools}
        self.matcher = Matcher(operations_of(self.tools))

    @cached_property
    def help(self) -> str:
        """What is possible here."""
        return help_told(self.tools)


class Kept:
    """The catalogues that were seen last; equal ones are the same."""

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._kept: list[Known] = []

    def of(self, tools: Sequence[ToolListed]) -> Known:
        """The newest are looked at first; equal tuples of the same objects are compared by identity."""
        wanted = tuple(tools)
        for known in self._kept:
            if known.tools == wanted:
                return known
        known = Known(wanted)
        self._kept = [known, *self._kept[: self._most - 1]]
        return known
