"""Questions and answers of the tool service; JSON, never stored.

A client asks on `tool.<site>.<own name>.<verb>`; the server tells the tools process who asks. A principal
with the role `gateway` or of kind agent names in `on_behalf_of` whom it asks for: then both must be allowed.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final, Literal, TypeAlias

from plantops.events.base import PrincipalName, Record
from plantops.events.command_parts import Risk
from plantops.events.provenance import Provenance

ToolKind: TypeAlias = Literal["read", "operation"]
Json: TypeAlias = Any
"""What JSON can hold; never a non-finite number."""

TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What every provider of models takes as a tool's name."""

OPERATION_MARK: Final = "__"
"""Stands in the names of operations only, so that no read tool is taken for one."""


def operation_name(asset: str, operation: str) -> str:
    """`pump-001__SetSpeed`: what every provider takes, of one operation only, and the same for ever.

    A name that would be too long or could be read in two ways ends in a digest instead.
    """
    plain = f"{asset}{OPERATION_MARK}{operation}"
    if TOOL_NAME.fullmatch(plain) and plain.count(OPERATION_MARK) == 1 and not asset.endswith("_"):
        return plain
    digest = hashlib.sha256(f"{asset}\0{operation}".encode()).hexdigest()[:16]
    # Too long a name of the asset must not push the mark out, by which operations are known.
    return f"{asset[:22]}{OPERATION_MARK}{operation[:22]}-{digest}"


class ToolListed(Record, frozen=True):
    """One tool as agents, the command line, HTTP and MCP show it.

    `arguments` and `result` are JSON Schemas (2020-12), closed: an unknown argument is refused. `read` tools
    are called by `ToolAsked`. An `operation` stands for `asset.operation` of the model: who wants it sends an
    intent to the gate's door, there is no other way; it has no `result`. `safe_direction` ones are offered in
    every search. `simulate_first`: the gate simulates before anything else.
    """

    name: str
    kind: ToolKind
    description: str
    risk: Risk
    arguments: dict[str, Json]
    result: dict[str, Json] | None = None
    asset: str = ""
    operation: str = ""
    safe_direction: bool = False
    simulate_first: bool = False


class CatalogueAsked(Record, frozen=True):
    """Verb `list`: everything that the caller may use; `all`: the rest too. Verb `search`: the best `limit`
    (1 to 50) for `query`, the best first, then the safe-direction operations that are not among them.

    A list comes in pages: `cursor` is `next` of the one before, `rows` (up to 1,000) the most that one may
    have, 0 as many as fit into a message.
    """

    query: str = ""
    limit: int = 12
    all: bool = False
    on_behalf_of: tuple[PrincipalName, ...] = ()
    cursor: str = ""
    rows: int = 0


class CatalogueTold(Record, frozen=True):
    """`revision` changes whenever the catalogue does: it is the model's and the program's digest.

    `next` is the cursor of the following page of a list, "" at the end. Once the catalogue has changed it
    is refused (`catalogue_changed`): begin anew then.
    """

    tools: tuple[ToolListed, ...]
    revision: str
    next: str = ""


class ToolAsked(Record, frozen=True):
    """Verb `call`. `cursor` goes on where the answer before ended. `conversation` is for the audit."""

    tool: str
    arguments: dict[str, Json] = {}
    on_behalf_of: tuple[PrincipalName, ...] = ()
    cursor: str = ""
    conversation: str = ""


class ToolTold(Record, frozen=True):
    """The answer. `result` fits the tool's result schema; each text in it that came from the plant is cleaned
    (no control, zero-width or bidirectional characters, bounded length), and `provenance` says from where.

    `next` is the cursor of the following page, "" at the end. `left` is what the caller's budget still
    allows in the window.
    """

    tool: str
    result: Json
    provenance: tuple[Provenance, ...] = ()
    next: str = ""
    left: int = 0
