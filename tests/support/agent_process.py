"""One agent host as a process of its own: `python -m support.agent_process <order.json>`.

Its model kills it (SIGKILL) when it is asked for the step of the order, as long as the file of the order is
there; so the next one goes on from there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from plantops.agent.port import ModelReply, ModelRequest, OnText
from plantops.agent.process import run_agent
from plantops.agent.settings import AgentSettings
from plantops.agent.specs import AGENT, AGENT_HOST
from plantops.flow.jetstream import JetStreamBus
from plantops.policy.document import Policy
from support.agent_rig import AgentRig, ScriptedModel, context_of
from support.plant_samples import key


class Order(msgspec.Struct, frozen=True):
    """All that a process needs. While the file `armed` exists, its model kills it before step `dies_at`."""

    url: str
    seeds: dict[str, str]
    policy: Policy
    state: str
    replies: dict[str, list[ModelReply]]
    armed: str
    dies_at: int = 0


def spawn(
    rig: AgentRig, replies: dict[str, list[ModelReply]], *, dies_at: int = 0
) -> subprocess.Popen[bytes]:
    """A host on the rig's broker; its output goes to a file beside its order."""
    folder = rig.state
    armed = folder / "armed"
    if dies_at:
        armed.touch()
    order = Order(
        url=rig.broker.url,
        seeds={name: rig.broker.keys[name].seed for name in (AGENT, AGENT_HOST)},
        policy=rig.policy,
        state=str(folder),
        replies=replies,
        armed=str(armed),
        dies_at=dies_at,
    )
    path = folder / "agent.json"
    path.write_bytes(msgspec.json.encode(order))
    with (folder / "agent.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "support.agent_process", str(path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent.parent), *sys.path))},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


async def run(order: Order) -> None:
    """Until it is killed."""

    def die(request: ModelRequest, _on_text: OnText) -> None:
        armed = Path(order.armed)
        if request.step == order.dies_at and armed.exists():
            armed.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    model = ScriptedModel(order.replies, before=die)
    bus = await JetStreamBus.connect(order.url, AGENT_HOST, seed=order.seeds[AGENT_HOST])
    client = await JetStreamBus.connect(order.url, AGENT, seed=order.seeds[AGENT])
    ready = Path(order.state) / f"ready-{os.getpid()}"
    context = replace(context_of(bus, order.policy, Path(order.state)), ready=ready.touch)
    await run_agent(context, client, key(AGENT), AgentSettings(), model)


if __name__ == "__main__":
    asyncio.run(run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)))
