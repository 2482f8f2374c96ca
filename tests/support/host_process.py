"""One host of the source `plc1` as a process of its own: `python -m support.host_process <order.json>`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from plantops.adapters.contract import GroupSettings, SourceSettings, TagSettings
from plantops.adapters.definition import definition_of
from plantops.adapters.host.rules import PolicyRules
from plantops.adapters.host.source_host import SourceHost
from plantops.adapters.registry import adapter
from plantops.events.base import TagName
from plantops.events.command_parts import Observation
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.model.load import Plant
from plantops.policy.document import RootRole, TrustRoot
from plantops.policy.in_force import InForce
from plantops.runtime.secrets import Secret
from support.host_ground import ME, MODEL, SITE, SOURCE, start
from support.host_rig import Notary

PLC = SourceSettings(
    adapter="modbus",
    groups=(GroupSettings(name="all", period_ms=100),),
    tags=(
        TagSettings(name="run", address="coil:1", writable=True),
        TagSettings(name="setpoint", address="holding:14:float32", unit="rpm", writable=True),
        TagSettings(name="speed", address="input:0", unit="rpm"),
        TagSettings(name="temperature", address="holding:10:float32", unit="Cel"),
    ),
    timeout_seconds=1.0,
)
"""The tags of `host_ground` in the simulated plant."""


class Order(msgspec.Struct, frozen=True):
    """All that a process needs; `key` is the file of the adapter's signing key."""

    url: str
    seed: str
    key: str
    root: str
    policy: bytes
    settings: SourceSettings
    port: int
    owner: str
    state: str
    lease_seconds: float


def spawn(order: Order, folder: Path) -> subprocess.Popen[bytes]:
    """A process of its own; its output goes to a file beside its order."""
    path = folder / f"{order.owner}.json"
    path.write_bytes(msgspec.json.encode(order))
    tests = Path(__file__).parent.parent
    with path.with_suffix(".log").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "support.host_process", str(path)],
            env={**os.environ, "PYTHONPATH": str(tests)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


async def _nothing(tags: Sequence[TagName]) -> Observation:
    raise AssertionError(f"nobody asks for {tags}")


async def _refresh() -> None:
    """The policy stands."""


async def run(order: Order) -> None:
    """Until it is killed."""
    chosen = adapter("modbus")
    definition = definition_of(SITE, SOURCE, order.settings, chosen)
    root = TrustRoot(site=SITE, version=1, policy=RootRole(keys=(order.root,), threshold=1))
    in_force = InForce(root, SITE)
    in_force.offer(order.policy, start())
    host = SourceHost(
        definition=definition,
        settings=order.settings,
        adapter=chosen,
        connection=chosen.settings(host="127.0.0.1", port=order.port),
        secrets=Secret,
        bus=await JetStreamBus.connect(order.url, ME, seed=order.seed),
        signer=Signer(ME, SigningKey.load(Path(order.key))),
        trust=in_force,
        rules=PolicyRules(Plant.of(MODEL, [definition]), in_force, _refresh),
        auditor=Notary(),
        observe=_nothing,
        state=Path(order.state),
        owner=order.owner,
        lease_seconds=order.lease_seconds,
    )
    await host.run()


if __name__ == "__main__":
    asyncio.run(run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)))
