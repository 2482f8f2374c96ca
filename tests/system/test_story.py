"""The whole loop on a running site: what a person asks, what the gate says, what the plant does."""

from __future__ import annotations

import asyncio

import msgspec
import nats
import pytest
from nats.errors import NoRespondersError

from plantops.cli.approvals import give
from plantops.cli.session import Session
from plantops.events.base import PrincipalName, encode_json
from plantops.events.command_parts import INTENT_TYPE
from plantops.events.commands import ApprovalRefused
from plantops.events.quality import is_good
from plantops.events.queries import CommandAsked, CommandsAsked, CommandsListed, CommandStatus
from plantops.events.subjects import intent as intent_subject
from plantops.ledger import dsse
from plantops.runtime.errors import Refused
from support.site import RunningSite, ask, follow, status_of, until

FAULTS = ("temperature", "modbus", "opcua")


@pytest.fixture(autouse=True)
async def mended(demo: RunningSite) -> None:
    """Each test begins with a healthy plant at rest."""
    await demo.plant({"clear": "all"})
    await demo.plant({"resume": "modbus"})
    await demo.healthy()


async def confirmed(here: Session, operation: str, arguments: dict[str, int] | None = None) -> CommandStatus:
    """Simulated, then confirmed."""
    simulated = await ask(here, operation, arguments)
    assert simulated.phase == "simulated", simulated
    return await ask(here, operation, arguments, confirms=simulated.command)


async def standing(here: Session, status: CommandStatus) -> CommandStatus:
    return await here.ask("command", "get", CommandAsked(command=status.command), CommandStatus)


async def test_high_risk_is_simulated_then_confirmed_then_really_executed(demo: RunningSite) -> None:
    before = await demo.plant({"state": True})
    async with demo.session("alice") as alice:
        simulated = await ask(alice, "pump-001.SetSpeed", {"RPM": 1200})
        assert (simulated.phase, simulated.outcome) == ("simulated", "")
        assert (await demo.plant({"state": True}))["writes_speed"] == before["writes_speed"]

        done = await ask(alice, "pump-001.SetSpeed", {"RPM": 1200}, confirms=simulated.command)
        assert done.outcome == "command.executed", done
        assert (await confirmed(alice, "pump-001.StartPump")).outcome == "command.executed"
    after = await demo.plant({"state": True})
    assert (after["speed_setpoint_rpm"], after["run"]) == (1200.0, True)
    assert after["writes_speed"] == before["writes_speed"] + 1
    assert after["writes_run"] == before["writes_run"] + 1


async def test_a_confirmation_is_good_for_nothing_but_what_was_simulated(demo: RunningSite) -> None:
    before = await demo.plant({"state": True})
    async with demo.session("alice") as alice:
        simulated = await ask(alice, "pump-001.SetSpeed", {"RPM": 300})
        other = await ask(alice, "pump-001.SetSpeed", {"RPM": 3000}, confirms=simulated.command)
    assert other.phase == "denied", other
    assert (await demo.plant({"state": True}))["writes_speed"] == before["writes_speed"]


async def test_nobody_approves_his_own_command_and_a_second_person_does(demo: RunningSite) -> None:
    async with demo.people("alice", "bob") as (alice, bob):
        await ask(alice, "pump-001.StopPump")
        await demo.standing(alice)
        before = await demo.plant({"state": True})
        waiting = await ask(alice, "pump-001.ResetFault")
        assert waiting.phase == "waiting", waiting

        own, _status = await give(alice, waiting.handle, "approve")
        assert isinstance(own, ApprovalRefused), own
        assert (await demo.plant({"state": True}))["writes_reset"] == before["writes_reset"]

        await give(bob, waiting.handle, "approve", "looked at it")
        done = await until(lambda: standing(alice, waiting), lambda now: bool(now.outcome), "it ends")
        done = await until(
            lambda: standing(alice, waiting), lambda now: now.outcome != "command.claimed", "it ends"
        )
    assert done.outcome == "command.executed", done
    assert (await demo.plant({"state": True}))["writes_reset"] == before["writes_reset"] + 1


async def test_a_viewer_is_denied(demo: RunningSite) -> None:
    async with demo.session("carol") as carol:
        denied = await ask(carol, "pump-001.SetSpeed", {"RPM": 900})
    assert (denied.phase, denied.outcome) == ("denied", ""), denied
    assert denied.reason.startswith("role")


async def test_a_hot_motor_denies(demo: RunningSite) -> None:
    async with demo.session("alice") as alice:
        await demo.plant({"tell": "temperature", "value": 96.0})
        await demo.tag(alice, "plc1.pump.motor_temperature", lambda tag: float(tag.value or 0) > 95.5, "hot")
        denied = await ask(alice, "pump-001.SetSpeed", {"RPM": 900})
    assert denied.phase == "denied", denied
    assert denied.reason.startswith("permissive")


async def test_silence_denies_and_an_answer_allows_again(demo: RunningSite) -> None:
    name = "plc1.pump.motor_temperature"
    async with demo.session("alice") as alice:
        await demo.plant({"hang": "modbus"})
        await demo.tag(alice, name, lambda tag: not is_good(tag.quality), "is no longer good")
        denied = await ask(alice, "pump-001.SetSpeed", {"RPM": 900})
        assert denied.phase == "denied", denied

        await demo.plant({"resume": "modbus"})
        await demo.good(alice, name, "plc1.pump.speed_setpoint", "plc1.plc_running", "plc1.pump.local_mode")
        assert (await confirmed(alice, "pump-001.SetSpeed", {"RPM": 900})).outcome == "command.executed"


async def test_a_stop_outruns_what_waits_for_its_confirmation(demo: RunningSite) -> None:
    async with demo.people("alice", "bob") as (alice, bob):
        pending = await ask(alice, "pump-001.StartPump")
        assert pending.phase == "simulated", pending
        stopped = await ask(bob, "pump-001.StopPump")
        assert stopped.outcome == "command.executed", stopped
        before = await demo.plant({"state": True})
        late = await ask(alice, "pump-001.StartPump", confirms=pending.command)
    assert late.phase == "denied", late
    after = await demo.plant({"state": True})
    assert (after["run"], after["writes_run"]) == (False, before["writes_run"])


async def test_a_stop_needs_no_answering_permissive(demo: RunningSite) -> None:
    async with demo.people("alice", "bob") as (alice, bob):
        await confirmed(alice, "pump-001.StartPump")
        await demo.plant({"tell": "temperature", "value": 96.0})
        await demo.plant({"tell": "local", "value": True})
        assert (await ask(bob, "pump-001.StopPump")).outcome == "command.executed"
    assert (await demo.plant({"state": True}))["run"] is False


async def plain(demo: RunningSite, login: str, subject: str, data: bytes) -> bytes:
    """What a program gets that knows NATS and nothing of PlantOps."""
    seed = demo.site.folder.identity(login, person=True).login
    client = await nats.connect(
        demo.running.url, nkeys_seed=str(seed), inbox_prefix=f"_INBOX.{login}", max_reconnect_attempts=0
    )
    try:
        return (await client.request(subject, data, timeout=5)).data
    finally:
        await client.close()


async def test_an_unsigned_intent_counts_by_its_login(demo: RunningSite) -> None:
    subject = intent_subject("demo", "alice", "valve-001", "SetPosition")
    answer = msgspec.json.decode(await plain(demo, "alice", subject, b'{"arguments":{"PERCENT":40.0}}'))
    async with demo.session("alice") as alice:
        done = await until(
            lambda: status_of(alice, answer["command"]),
            lambda now: now is not None and now.outcome not in ("", "command.claimed"),
            "it ends",
        )
    assert done is not None
    assert done.outcome == "command.executed", done
    assert (await demo.plant({"state": True}))["valve_command_percent"] == 40.0


async def test_an_unsigned_intent_is_not_good_for_high_risk(demo: RunningSite) -> None:
    subject = intent_subject("demo", "alice", "pump-001", "StartPump")
    answer = msgspec.json.decode(await plain(demo, "alice", subject, b"{}"))
    async with demo.session("alice") as alice:
        ended = await until(
            lambda: status_of(alice, answer["command"]),
            lambda now: now is not None and now.phase in ("denied", "simulated"),
            "it rests",
        )
    assert ended is not None
    assert ended.phase == "denied", ended


async def test_nobody_speaks_on_the_subject_of_another(demo: RunningSite) -> None:
    errors: list[str] = []

    async def remember(error: Exception) -> None:
        errors.append(str(error).lower())

    seed = demo.site.folder.identity("carol", person=True).login
    client = await nats.connect(demo.running.url, nkeys_seed=str(seed), error_cb=remember)
    try:
        async with demo.session("bob") as bob:
            before = (await bob.ask("command", "list", CommandsAsked(), CommandsListed)).total
            subject = intent_subject("demo", "bob", "pump-001", "StopPump")
            await client.publish(subject, b"{}")
            await client.flush()

            async def told() -> list[str]:
                return errors

            # The client's ping may overtake what it was told to publish.
            await until(told, lambda now: any("permissions violation" in one for one in now), "a refusal")
            assert (await bob.ask("command", "list", CommandsAsked(), CommandsListed)).total == before
    finally:
        await client.close()


async def test_nobody_writes_another_name_into_his_intent(demo: RunningSite) -> None:
    """Plain JSON and a foreign signature alike: on the own subject, in the name of somebody else."""
    subject = intent_subject("demo", "carol", "valve-001", "SetPosition")
    told = await plain(demo, "carol", subject, b'{"actor":"bob","arguments":{"PERCENT":77.0}}')
    assert msgspec.json.decode(told)["error"]["code"] in ("not_the_login", "subject_differs")
    async with demo.people("bob", "carol") as (bob, carol):
        words = bob.intent("valve-001", "SetPosition", {"PERCENT": 77.0})
        forged = dsse.encode(dsse.seal(INTENT_TYPE, encode_json(words), carol.key))
        told = await plain(demo, "carol", subject, forged)
        assert "error" in msgspec.json.decode(told)
        mine = msgspec.structs.replace(words, actor=PrincipalName("carol"))
        told = await plain(
            demo, "carol", subject, dsse.encode(dsse.seal(INTENT_TYPE, encode_json(mine), bob.key))
        )
        assert "error" in msgspec.json.decode(told)
    assert (await demo.plant({"state": True}))["valve_command_percent"] != 77.0


async def test_no_login_reaches_the_streams(demo: RunningSite) -> None:
    with pytest.raises((NoRespondersError, TimeoutError)):
        await plain(demo, "bob", "$JS.API.STREAM.INFO.COMMANDS", b"")


async def test_the_same_key_twice_is_executed_once(demo: RunningSite) -> None:
    async with demo.session("alice") as alice:
        before = await demo.plant({"state": True})
        words = alice.intent("valve-001", "SetPosition", {"PERCENT": 21.0}, key="same-key")
        taken = await asyncio.gather(*(alice.send(words) for _ in range(5)))
        assert len({each.command for each in taken}) == 1
        assert (await follow(alice, words)).outcome == "command.executed"
        again = await alice.send(words)
        assert (again.command, again.repeated) == (taken[0].command, True)
    assert (await demo.plant({"state": True}))["writes_valve"] == before["writes_valve"] + 1


async def test_the_same_key_for_other_words_is_a_conflict(demo: RunningSite) -> None:
    async with demo.session("alice") as alice:
        words = alice.intent("valve-001", "SetPosition", {"PERCENT": 22.0}, key="used-key")
        await follow(alice, words)
        other = msgspec.structs.replace(words, arguments={"PERCENT": 90.0})
        with pytest.raises(Refused) as refused:
            await alice.send(other)
    assert refused.value.reason == "key_conflict"
    assert (await demo.plant({"state": True}))["valve_command_percent"] == 22.0
