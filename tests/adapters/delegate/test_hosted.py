"""A source without tags under the host: it holds its lease, and is up and lost by the delegate's health."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from plantops.adapters.contract import GroupSettings, SourceSettings
from plantops.adapters.definition import definition_of
from plantops.adapters.delegate import SPEC
from plantops.adapters.delegate.config import DelegateSettings
from plantops.adapters.host.rules import PolicyRules
from plantops.adapters.host.source_host import SourceHost
from plantops.events.command_parts import Observation
from plantops.events.sources import LeaseTaken, SourceLost, SourceUp
from plantops.runtime.secrets import Secret
from plantops.simulation.delegate.faults import Fault
from plantops.simulation.delegate.server import DelegateServer
from support.delegates import KEY_ID, KEYS, SECRET
from support.host_ground import SITE, SOURCE, Ground
from support.host_rig import Notary

SETTINGS = SourceSettings(adapter="delegate", groups=(GroupSettings(name="health", period_ms=20),))


async def nothing_to_refresh() -> bool:
    return True


async def nothing_seen(_tags: object) -> Observation:
    raise AssertionError("no command asks for anything")


def host(ground: Ground, url: str, state: Path, stopping: asyncio.Event) -> SourceHost:
    in_force = ground.trust()
    return SourceHost(
        definition=definition_of(SITE, SOURCE, SETTINGS, SPEC),
        settings=SETTINGS,
        adapter=SPEC,
        connection=DelegateSettings(url=url, key_id=KEY_ID, secret="secret:pump"),
        secrets=lambda _reference: Secret(SECRET),
        bus=ground.bus(),
        signer=ground.signer,
        trust=in_force,
        rules=PolicyRules(ground.plant, in_force, nothing_to_refresh),
        auditor=Notary(),
        observe=nothing_seen,
        state=state,
        owner="only",
        clock=ground.clock,
        random=lambda: 0.5,
        stopping=stopping,
    )


async def test_a_delegate_is_a_source_that_comes_goes_and_comes_back(tmp_path: Path) -> None:
    ground, stopping = Ground(), asyncio.Event()

    def told() -> list[type[object]]:
        return [type(one) for one in ground.told(SourceUp, SourceLost, stream="SOURCES")]

    async def until(condition: Callable[[], bool]) -> None:
        # The delegate lives by the real clock, the host by the ground's.
        while not condition():
            await ground.clock.advance(0.5)
            await asyncio.wait([running], timeout=0.01)
            assert not running.done(), running

    async with asyncio.timeout(100), DelegateServer(KEYS) as server:
        running = asyncio.create_task(host(ground, server.url, tmp_path, stopping).run())
        await until(lambda: told() == [SourceUp])
        await until(lambda: any(frame.confirms == b"\0" for frame in ground.frames()))
        server.fault = Fault.SICK
        await until(lambda: told() == [SourceUp, SourceLost])
        server.fault = Fault.NONE
        await until(lambda: told() == [SourceUp, SourceLost, SourceUp])
        assert len(ground.told(LeaseTaken, stream="SOURCES")) >= 1
        assert all(frame.columns == [] for frame in ground.frames())
        stopping.set()
        while not running.done():
            await ground.clock.advance(0.5)
            await asyncio.wait([running], timeout=0.01)
        running.result()
