"""What is done for who may ask: list, search, call. Who asks is the door's business (`door`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from plantops.events.base import PrincipalName, SiteName, encode_json
from plantops.events.tooling import CatalogueAsked, CatalogueTold, ToolAsked, ToolTold
from plantops.flow.bus import Bus
from plantops.model.load import Plant
from plantops.policy.in_force import InForce
from plantops.policy.verified import Verified
from plantops.runtime.errors import BrokerError, StorageError
from plantops.tools.catalogue import Catalogue, Catalogues
from plantops.tools.chain import check_call
from plantops.tools.contract import AnyTool, Arguments, Call, Page, ToolError
from plantops.tools.fitting import Fitted, Place, fit, read_place
from plantops.tools.governor import Governor, Identity, digest_of, identities
from plantops.tools.paging import page_of
from plantops.tools.settings import ToolSettings

MOST_FOUND: Final = 50
MAX_QUERY: Final = 2000
MAX_LIST_BYTES: Final = 4 * 1024 * 1024

Told: TypeAlias = Callable[[str], None]
"""Is told what became of a call that was charged: "answered", a problem's code, "broken" for a defect."""


@dataclass
class Desk:
    """One for each process. Reads with the process's own rights, for whoever the door let in."""

    site: SiteName
    plant: Plant
    in_force: InForce
    bus: Bus
    audit: Bus
    served: Path
    settings: ToolSettings
    governor: Governor
    tools: Sequence[AnyTool]
    now: Callable[[], datetime]
    _catalogues: Catalogues = field(init=False, repr=False)
    _by_name: dict[str, AnyTool] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._catalogues = Catalogues(self.tools, self.plant)
        self._by_name = {tool.name: tool for tool in self.tools}

    def check(self) -> None:
        """Raises: SettingsError when two tools have one name."""
        if self.in_force.verified is not None:
            self._catalogues.of(self.in_force.verified)

    async def list(
        self, verified: Verified, chain: tuple[PrincipalName, ...], asked: CatalogueAsked
    ) -> CatalogueTold:
        """A page of what the chain may use, or of everything. Raises: OverBudget, ToolError."""
        catalogue = self._catalogues.of(verified)
        async with self.governor.at_work(self._payers(verified, chain), "list"):
            usable = None if asked.all else catalogue.usable(chain)
            # A large catalogue takes its time, and others are served meanwhile.
            return await asyncio.to_thread(
                page_of, catalogue.listed, catalogue.revision, usable, cursor=asked.cursor, rows=asked.rows
            )

    async def search(
        self, verified: Verified, chain: tuple[PrincipalName, ...], asked: CatalogueAsked
    ) -> CatalogueTold:
        """The best for the query, and what goes in the safe direction. Raises: OverBudget, ToolError."""
        if not 1 <= asked.limit <= MOST_FOUND or len(asked.query) > MAX_QUERY:
            raise ToolError(
                "bad_arguments", f"limit is 1 to {MOST_FOUND}, a query has at most {MAX_QUERY} characters"
            )
        if asked.cursor or asked.rows:
            raise ToolError(
                "bad_arguments", "what is searched for comes at once: cursor and rows are of a list"
            )
        catalogue = self._catalogues.of(verified)
        async with self.governor.at_work(self._payers(verified, chain), "search"):
            usable = frozenset(catalogue.by_name) if asked.all else catalogue.usable(chain)
            # A large catalogue takes its time, and others are served meanwhile.
            found = await asyncio.to_thread(catalogue.search, asked.query, asked.limit, usable)
            return _bounded(CatalogueTold(tools=tuple(found), revision=catalogue.revision))

    async def call(
        self, verified: Verified, chain: tuple[PrincipalName, ...], asked: ToolAsked, record: Told
    ) -> ToolTold:
        """Check, charge, work, clean, cut. What was charged is told to `record`, whatever becomes of it.

        Raises: Refused, OverBudget, ToolError, BrokerError; what `record` raises.
        """
        tool = self._tool(self._catalogues.of(verified), asked.tool)
        check_call(verified, chain, tool, self.now())
        arguments = _arguments(tool, asked.arguments)
        digest = digest_of(chain[-1], tool.name, asked.arguments)
        place = read_place(asked.cursor, digest)
        payers = self._payers(verified, chain)
        async with self.governor.at_work(payers, tool.name):
            repeated = digest_of(digest, asked.cursor)
            left = [await self.governor.charge(payer, repeated, tool.name) for payer in payers]
            outcome = "broken"
            try:
                page = await self._work(tool, self._call(verified, chain, tool, place), arguments)
                fitted = self._fit(tool, page, place)
                outcome = "answered"
            except ToolError as error:
                outcome = error.code
                raise
            finally:
                record(outcome)
        return ToolTold(
            tool=tool.name,
            result=fitted.result,
            provenance=fitted.provenance,
            next=fitted.next,
            left=min(left),
        )

    def _fit(self, tool: AnyTool, page: Page[Any], place: Place) -> Fitted:
        return fit(tool, page, place, rows=self.settings.page_rows, most_bytes=self.settings.answer_bytes)

    def _tool(self, catalogue: Catalogue, name: str) -> AnyTool:
        found = self._by_name.get(name)
        if found is not None:
            return found
        listed = catalogue.by_name.get(name)
        if listed is not None:
            raise ToolError(
                "send_intent",
                f"{name} writes: ask the gate for {listed.operation} of {listed.asset} by an intent",
            )
        raise ToolError("unknown_tool", f"there is no tool {name[:64]!r}: list or search for what there is")

    def _call(
        self, verified: Verified, chain: tuple[PrincipalName, ...], tool: AnyTool, place: Place
    ) -> Call:
        return Call(
            site=self.site,
            chain=chain,
            verified=verified,
            in_force=self.in_force,
            plant=self.plant,
            bus=self.bus,
            audit=self.audit,
            served=self.served,
            cursor=place.own,
            rows=self.settings.page_rows,
            timeout_seconds=tool.timeout_seconds or self.settings.call_seconds,
            now=self.now,
        )

    async def _work(self, tool: AnyTool, call: Call, arguments: Arguments) -> Page[Any]:
        try:
            async with asyncio.timeout(call.timeout_seconds):
                return await tool.work(call, arguments)
        except TimeoutError as error:
            raise ToolError(
                "timeout", f"{tool.name} gave no answer within {call.timeout_seconds:g} s: try again, or less"
            ) from error
        except (BrokerError, StorageError) as error:
            raise ToolError("unavailable", f"{tool.name}: {error.message}") from error

    def _payers(self, verified: Verified, chain: Sequence[PrincipalName]) -> tuple[Identity, ...]:
        return identities(verified.policy, chain, self.settings)


def _arguments(tool: AnyTool, given: dict[str, Any]) -> Arguments:
    """Raises: ToolError naming the place."""
    try:
        arguments: Arguments = msgspec.convert(given, type=tool.arguments, strict=True)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        what, _, place = str(error).partition(" - at `$")
        where = f"argument {place.strip('.`')}" if place.strip(".`") else "the arguments"
        takes = ", ".join(tool.arguments.__struct_fields__) or "none"
        raise ToolError("bad_arguments", f"{tool.name}: {where}: {what}; it takes {takes}") from error
    return arguments


def _bounded(told: CatalogueTold) -> CatalogueTold:
    if len(encode_json(told)) > MAX_LIST_BYTES:
        raise ToolError("too_large", "more is found than one answer holds: ask with a lower limit")
    return told
