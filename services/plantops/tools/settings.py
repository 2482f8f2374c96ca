"""Everything that the tools process can be told: the table `[tools]` of the site file."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from plantops.runtime.parts import Part

_Seconds = Annotated[float, Meta(gt=0, le=86_400)]
_Calls = Annotated[int, Meta(ge=1, le=1_000_000)]
_Block = Annotated[int, Meta(ge=1, le=1000)]
_Bytes = Annotated[int, Meta(ge=1024, le=4 * 1024 * 1024)]


class ProgramBudget(Part, frozen=True):
    """What a program may call within the window, for everybody together.

    `block` calls are taken from the account at a time, with one record for all of them; what of it a process
    holds when it dies counts as used. `concurrent` are at work at a time in one process.
    """

    calls: _Calls = 12_000
    block: _Block = 50
    concurrent: _Block = 64


class PersonBudget(Part, frozen=True):
    """What a natural person may call within the window, whoever asks for him; also a program that stands for
    nobody. `identical` calls with the same arguments and cursor trip the runaway breaker; the rest is as for
    programs. Of several processes each may hold a block, which the breaker counts as the same call.
    """

    calls: _Calls = 600
    identical: _Calls = 25
    block: _Block = 5
    concurrent: _Block = 8


class ToolSettings(Part, frozen=True):
    """The tools: budgets, time, and the size of an answer. A window begins with the first call after the one
    before has ended. `page_rows` is the most that a page of an answer holds, `answer_bytes` its JSON.
    `enabled` says whether `plantops up` starts one: without it agent and gateway read nothing."""

    enabled: bool = True
    window_seconds: _Seconds = 120.0
    person: PersonBudget = PersonBudget()
    program: ProgramBudget = ProgramBudget()
    call_seconds: Annotated[float, Meta(gt=0, le=120)] = 5.0
    answer_bytes: _Bytes = 64 * 1024
    page_rows: Annotated[int, Meta(ge=1, le=100_000)] = 500
