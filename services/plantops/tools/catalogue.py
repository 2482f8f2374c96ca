"""All tools of a site under one policy: what is there, who may use it, and what fits a question."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

from plantops.events.base import PrincipalName, encode_json
from plantops.events.tooling import ToolListed
from plantops.model.load import Plant
from plantops.policy.document import Policy
from plantops.policy.verified import Verified
from plantops.runtime.errors import SettingsError
from plantops.tools.chain import may_ask, may_call
from plantops.tools.contract import AnyTool
from plantops.tools.listing import operations, read_tool
from plantops.tools.search import Index


class Catalogue:
    """Read tools and operations by name, the read tools first, then in the order of their names.

    `revision` is the digest of everything listed and of the policy: it changes when either does.
    """

    def __init__(self, tools: Sequence[AnyTool], plant: Plant, verified: Verified) -> None:
        """Raises: SettingsError when two tools have one name."""
        self._policy: Policy = verified.policy
        reads = [read_tool(tool) for tool in sorted(tools, key=lambda tool: tool.name)]
        self.listed: tuple[ToolListed, ...] = (*reads, *operations(plant, verified.policy))
        self.by_name = {tool.name: tool for tool in self.listed}
        if len(self.by_name) < len(self.listed):
            names = [tool.name for tool in self.listed]
            double = next(name for name in names if names.count(name) > 1)
            raise SettingsError(f"two tools have the name {double!r}: rename one", setting="tools")
        self.revision = hashlib.sha256(encode_json((self.listed, verified.digest))).hexdigest()

    def usable(self, chain: Sequence[PrincipalName]) -> frozenset[str]:
        """What everybody in the chain may use; of an operation: may ask the gate for."""
        return frozenset(tool.name for tool in self.listed if self._is_usable(chain, tool))

    def search(self, query: str, limit: int, usable: frozenset[str]) -> list[ToolListed]:
        """See `Index.best`."""
        return self._index.best(query, limit, usable)

    @cached_property
    def _index(self) -> Index:
        return Index(self.listed)

    def _is_usable(self, chain: Sequence[PrincipalName], tool: ToolListed) -> bool:
        if tool.kind == "read":
            return may_call(self._policy, chain, tool.name, tool.risk)
        return may_ask(self._policy, chain, tool.asset, tool.operation)


class Catalogues:
    """The catalogue of the policy in force: made anew when that is another. The model is the process's."""

    def __init__(self, tools: Sequence[AnyTool], plant: Plant) -> None:
        self._tools, self._plant = tools, plant
        self._made: tuple[str, Catalogue] | None = None

    def of(self, verified: Verified) -> Catalogue:
        """Raises: SettingsError as `Catalogue`."""
        if self._made is None or self._made[0] != verified.digest:
            self._made = (verified.digest, Catalogue(self._tools, self._plant, verified))
        return self._made[1]
