"""Everything that the agent can be told: the table `[agent]` of the site file."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from plantops.agent.models.settings import ModelSettings
from plantops.runtime.parts import Part

_Seconds = Annotated[float, Meta(gt=0)]
_Count = Annotated[int, Meta(gt=0)]


class TurnSettings(Part, frozen=True):
    """What one turn may take.

    `steps` is how often a model is asked (with the last, no tool is offered any more), `calls` what one reply
    may want at once. A turn that is older than `seconds` is ended, also when nobody was there to answer it.
    `follow_seconds` is how long a command is followed before the answer says that it is still under way.
    `shown_turns` and `shown_characters` bound what a model is shown of the turns before.
    """

    steps: Annotated[int, Meta(ge=2, le=50)] = 8
    calls: Annotated[int, Meta(ge=1, le=64)] = 8
    tokens: _Count = 100_000
    seconds: Annotated[float, Meta(gt=0, le=900)] = 120.0
    reply_tokens: _Count = 1024
    model_seconds: _Seconds = 60.0
    follow_seconds: _Seconds = 20.0
    shown_turns: Annotated[int, Meta(ge=0)] = 20
    shown_characters: Annotated[int, Meta(ge=0)] = 60_000
    tool_characters: Annotated[int, Meta(ge=1000)] = 24_000


class BudgetSettings(Part, frozen=True):
    """What one identity, the person at the end of the chain, may use in a window; shared by all replicas.

    `cost` is in USD by the configured prices. `open_turns` is how many may wait for their answer at once.
    """

    window_seconds: _Seconds = 3600.0
    turns: _Count = 100_000
    calls: _Count = 400_000
    tokens: _Count = 5_000_000
    cost: Annotated[float, Meta(ge=0)] = 20.0
    open_turns: _Count = 16


class AgentSettings(Part, frozen=True):
    """The agent: what it takes, how much at once, and who may use how much of it.

    `message_characters` bounds one question, `conversation_turns` one conversation. `concurrency` is how many
    turns one host works on at the same time. `enabled` says whether `plantops up` starts one.
    """

    enabled: bool = True
    message_characters: Annotated[int, Meta(ge=1, le=32_000)] = 4_000
    conversation_turns: Annotated[int, Meta(ge=1, le=5_000)] = 500
    concurrency: Annotated[int, Meta(ge=1, le=256)] = 32
    tool_seconds: _Seconds = 10.0
    model: ModelSettings = ModelSettings()
    turn: TurnSettings = TurnSettings()
    budget: BudgetSettings = BudgetSettings()
