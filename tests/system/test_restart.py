"""Everything ends and begins again on the same folder: nothing is forgotten, nothing starts anew."""

from __future__ import annotations

from plantops.events.queries import CommandAsked, CommandsAsked, CommandsListed, CommandStatus
from support.history import check_commands, check_source, history_of, verified
from support.site import RunningSite, ask, until

POSITION = "valve-001.SetPosition"


async def test_a_restarted_site_goes_on_where_it_ended(own_site: RunningSite) -> None:
    await own_site.start()
    async with own_site.session("alice") as alice:
        done = await ask(alice, POSITION, {"PERCENT": 12.0})
        assert done.outcome == "command.executed", done
        pending = await ask(alice, "pump-001.StartPump")
        assert pending.phase == "simulated", pending
    before = await until(lambda: verified(own_site), lambda now: now.ok and not now.uncovered, "it verifies")
    own_site.stop()

    await own_site.start()
    async with own_site.session("alice") as alice:
        known = await alice.ask("command", "get", CommandAsked(command=done.handle), CommandStatus)
        assert known == done
        listed = await alice.ask("command", "list", CommandsAsked(), CommandsListed)
        assert [each.handle for each in listed.commands] == [pending.handle, done.handle]

        started = await ask(alice, "pump-001.StartPump", confirms=pending.command)
        assert started.outcome == "command.executed", started
        later = await ask(alice, POSITION, {"PERCENT": 13.0})
        assert int(later.handle[1:]) > int(started.handle[1:]) > int(pending.handle[1:])

    async with own_site.reader() as bus:
        await check_commands(bus, [done.command, started.command, later.command])
        for source in ("plc1", "opc1"):
            found = await history_of(bus, source)
            check_source(found)
            # A clean end gives the source back: the next owner neither waits nor has to tell a gap.
            assert [lease.epoch for lease in found.leases if lease.released] == [1]
            assert found.epochs == [1, 2]
            assert not found.gaps
    after = await until(lambda: verified(own_site), lambda now: now.ok and not now.uncovered, "it verifies")
    assert after.origin == before.origin
    assert after.size > before.size


async def test_a_killed_supervisor_leaves_nothing_running_and_the_site_starts_again(
    own_site: RunningSite,
) -> None:
    await own_site.start()
    assert own_site.process is not None
    left = own_site.processes()
    assert len(left) > 5, left
    own_site.process.kill()
    own_site.process.wait()

    async def running() -> dict[int, str]:
        return own_site.processes()

    await until(running, lambda now: not now, "everything has ended")
    await own_site.start()
    async with own_site.session("alice") as alice:
        done = await ask(alice, POSITION, {"PERCENT": 21.0})
        assert done.outcome == "command.executed", done
