"""A broker with the agent's neighbours on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.agent_rig import CLIENTS, SPECS, AgentRig, open_rig
from support.nats import StartBroker


@pytest.fixture
async def rig(nats_server: StartBroker, tmp_path: Path) -> AsyncIterator[AgentRig]:
    """Tools, a gate and people, without an agent yet: `async with rig.host(model)`."""
    broker = await nats_server(SPECS, CLIENTS)
    async with open_rig(broker, tmp_path) as opened:
        yield opened
