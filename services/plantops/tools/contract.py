"""What a read tool is: one typed function with a name, a description, a risk, and the structs of both ends.

The desk has done the governing when a tool is called: who asks is known and allowed, the budget is charged,
the arguments are decoded. It also does what comes after: every text is cleaned, the size bounded, the page
cut, the call audited. A tool only reads, and says where each thing stands that it tells.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from plantops.events.base import PrincipalName, Record, SiteName, encode_json
from plantops.events.command_parts import Risk
from plantops.events.provenance import Provenance
from plantops.events.queries import ProblemDetail, read_answer
from plantops.events.tooling import OPERATION_MARK, TOOL_NAME
from plantops.flow.bus import Bus
from plantops.model.load import Plant
from plantops.policy.in_force import InForce
from plantops.policy.verified import Verified
from plantops.runtime.errors import BrokerUnavailable, NobodyAnswers, PlantOpsError


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of argument structs: closed, decoded strictly (no text for a number), bounded by `msgspec.Meta`.

    Each field has a `Meta(description=…)`: it is all that a model knows of it.
    """


A = TypeVar("A", bound=Arguments)
R = TypeVar("R", bound=Record)
Answer = TypeVar("Answer", bound=Record)


class ToolError(PlantOpsError):
    """A call that gives nothing: `code` is stable for programs, the message is for who asked.

    Codes of tools: `not_found`, `bad_arguments`, `bad_cursor`, `too_large`, `unavailable` (try again later),
    `not_kept` (there is no such record any more). What a service says is passed on with its own code.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """An answer. `next` is the tool's own cursor of what follows, "" at the end; it holds no secret."""

    result: R
    provenance: tuple[Provenance, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """What a tool is given beside its arguments.

    `chain` are who asks and whom for, the person last. `verified` is the policy in force at that moment,
    `in_force` believes stored events by it. `bus` is the connection in the plant, `audit` the one that reads
    the audit. `served` is the archive's snapshot, which may not be there. `cursor` is `Page.next` of the page
    before ("" for the first): it comes back through a stranger, so read it as strictly as an argument.
    `rows` is how many items a page should hold at most, `timeout_seconds` what the desk waits for the answer.
    """

    site: SiteName
    chain: tuple[PrincipalName, ...]
    verified: Verified
    in_force: InForce
    plant: Plant
    bus: Bus
    audit: Bus
    served: Path
    cursor: str = ""
    rows: int = 500
    timeout_seconds: float = 5.0
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    @property
    def person(self) -> PrincipalName:
        """Whom the answer is for."""
        return self.chain[-1]

    async def ask(self, subject: str, question: Record | bytes, kind: type[Answer]) -> Answer:
        """The answer of a service in the plant. Raises: ToolError with the service's own refusal, or
        `unavailable`."""
        data = question if isinstance(question, bytes) else encode_json(question)
        try:
            reply = await self.bus.request(subject, data, timeout=self.timeout_seconds)
            told = read_answer(reply.data, kind)
        except (NobodyAnswers, BrokerUnavailable) as error:
            raise ToolError("unavailable", f"{subject} gives no answer: {error.message}") from error
        except ValueError as error:
            raise ToolError("unavailable", f"the answer of {subject} cannot be read: {error}") from error
        if isinstance(told, ProblemDetail):
            raise ToolError(told.code, told.message)
        return told


Work: TypeAlias = Callable[[Call, A], Awaitable[Page[R]]]


@dataclass(frozen=True, slots=True)
class Tool(Generic[A, R]):
    """One read tool.

    `risk` low is open to every principal; above it each one in the chain needs a role that covers
    `tool.<name>`. `items` names the field of the result that is a tuple and may be cut: a page that is too
    large ends earlier there, and the desk goes on behind it by its own cursor; "" means that the whole answer
    must fit. Where a page has one provenance for each item, in the same order, they are cut together. Fields
    in `exact` keep their lines and their length: for what is proved or made by us, never for texts of the
    plant; a character that would be cleaned out of another text refuses the answer. `timeout_seconds` None:
    as the settings say. Work may raise ToolError; errors of the broker are told as `unavailable` by the desk;
    anything else is a defect.
    """

    name: str
    description: str
    risk: Risk
    arguments: type[A]
    result: type[R]
    work: Work[A, R]
    items: str = ""
    exact: tuple[str, ...] = ()
    timeout_seconds: float | None = None

    def __post_init__(self) -> None:
        """Raises: ValueError for a name that some provider would refuse, or items that the result has not."""
        if TOOL_NAME.fullmatch(self.name) is None or OPERATION_MARK in self.name:
            raise ValueError(
                f"{self.name!r} cannot name a read tool: 1 to 64 of a-z A-Z 0-9 _ - no {OPERATION_MARK!r}"
            )
        for name in (*((self.items,) if self.items else ()), *self.exact):
            if name not in self.result.__struct_fields__:
                raise ValueError(f"the result of {self.name!r} has no field {name!r}")


AnyTool: TypeAlias = Tool[Any, Any]
