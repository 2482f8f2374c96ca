"""Steps of processes and of what lies between them: crashes, hangs, losses, repetitions."""

from __future__ import annotations

from soak.broker import calm
from soak.gate_run import EMPTY
from soak.picking import pick
from soak.world import World


async def gate_crash(world: World) -> None:
    """kill -9 and a restart, from the last snapshot and the log."""
    await world.restart_gate()


async def gate_snapshot(world: World) -> None:
    world.last_snapshot = world.gate.write_down()


async def gate_twin(world: World) -> None:
    """Another gate takes over while the old one hangs; the old one wakes later and is fenced."""
    world.old_gates.append(world.gate)
    await world.restart_gate()


async def gate_wakes(world: World) -> None:
    """A gate that hung goes on. Where nobody has said anything since, it is still the one whose words count,
    and the one that was to replace it is fenced at its next word."""
    waking, world.old_gates = world.old_gates, []
    for old in waking:
        world.count("gate: old one woke")
        if old.own == world.gate.own and not old.is_fenced:
            world.hand_over(old)
        else:
            await old.pump()


async def gate_anew(world: World) -> None:
    """A gate whose snapshot is lost."""
    world.last_snapshot = EMPTY
    await world.restart_gate()


async def trap(world: World, source: str, point: str, how: str) -> None:
    host = world.hosts[source]
    if host is not None:
        host.trap = (point, how)


async def resume(world: World, source: str) -> None:
    for host in (world.hosts[source], *world.old_hosts):
        if host is not None and not host.is_dead:
            host.resume()
    await calm()


async def host_crash(world: World, source: str) -> None:
    host = world.hosts[source]
    if host is not None:
        world.hosts[source] = None
        world.old_hosts.append(host)
        await host.crash()


async def host_start(world: World, source: str) -> None:
    if world.hosts[source] is None:
        await world.start_host(source)


async def host_takeover(world: World, source: str) -> None:
    """The lease of a run that hangs has run out, and another one takes the source."""
    old = world.hosts[source]
    if old is not None:
        world.old_hosts.append(old)
        world.hosts[source] = None
    await world.start_host(source)


async def keep_back(world: World, what: str) -> None:
    """Nothing is delivered to it for a while."""
    world.kept_back.add(what)


async def shut(world: World, stream: str) -> None:
    """The gate does not get one of its streams for a while."""
    world.gate.shut_off |= {stream}


async def release(world: World) -> None:
    world.kept_back.clear()
    world.gate.shut_off = frozenset()


async def redeliver(world: World, source: str, which: int) -> None:
    """The broker delivers an old order again."""
    found = pick(list(reversed(world.seen_orders[source][-20:])), which)
    host = world.hosts[source]
    if found is not None and host is not None:
        lane, stored = found
        host.deliver(stored, lane)


async def fault(world: World, source: str, kind: str) -> None:
    if kind == "away":
        world.away.add(source)
    elif kind == "back":
        world.away.discard(source)
    else:
        world.faults[source] = kind


async def audit(world: World, is_away: bool) -> None:
    world.audit_is_away = is_away
