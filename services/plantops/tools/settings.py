"""Everything that the tools process can be told: the table `[tools]` of the site file."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

_Seconds = Annotated[float, Meta(gt=0, le=86_400)]
_Calls = Annotated[int, Meta(ge=1, le=1_000_000)]
_Bytes = Annotated[int, Meta(ge=1024, le=4 * 1024 * 1024)]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the site file; unknown keys are refused."""


class BudgetSettings(Part, frozen=True):
    """What one identity may call within the window.

    `identical` calls with the same arguments and cursor trip the runaway breaker. `block` calls are taken from
    the account at a time, with one record for all of them; what of it a process holds when it dies counts as
    used. `concurrent` are at work at a time in one process.
    """

    calls: _Calls = 600
    identical: _Calls = 25
    block: Annotated[int, Meta(ge=1, le=1000)] = 5
    concurrent: Annotated[int, Meta(ge=1, le=1000)] = 8


class ToolSettings(Part, frozen=True):
    """The tools: budgets, time, and the size of an answer.

    `person` is the budget of a natural person, whoever asks for him, and of a program that stands for nobody;
    `program` that of a program for everybody together, without a breaker. Windows begin with the first call.
    """

    window_seconds: _Seconds = 120.0
    person: BudgetSettings = BudgetSettings()
    program: BudgetSettings = BudgetSettings(calls=12_000, block=50, concurrent=64)
    call_seconds: Annotated[float, Meta(gt=0, le=120)] = 5.0
    answer_bytes: _Bytes = 64 * 1024
    page_rows: Annotated[int, Meta(ge=1, le=100_000)] = 500
