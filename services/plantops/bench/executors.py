"""Several executors of one source race for the same commands: what reaches the device, and who says what.

In a plant the lease lets one of them run. Here each believes that it holds it, so that the claim alone, a
compare-and-set on the broker, stands between a command and a second write.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from plantops.adapters.host.claims import FINALS, Claims
from plantops.adapters.host.clock import SystemClock
from plantops.adapters.host.deeds import Deeds
from plantops.adapters.host.executor import Executor, Place
from plantops.adapters.host.hands import Hands
from plantops.adapters.host.invoking import Invocations
from plantops.adapters.host.lanes import Device
from plantops.adapters.host.outcomes import Outcomes
from plantops.adapters.host.reconciling import Reconciler
from plantops.adapters.host.rehearsal import Rehearsals
from plantops.adapters.host.reign import end
from plantops.adapters.host.rules import PolicyRules
from plantops.adapters.host.standing import Generations
from plantops.bench.executors_ground import CHOSEN, DEFINITION, PLANT, SITE, SOURCE, Ground, counted, ground
from plantops.bench.figures import Bench, Figure, Load, Tell, figure
from plantops.bench.ground import temporary_folder
from plantops.events import Event, decode, subjects
from plantops.events.base import CommandId, TagName
from plantops.events.command_parts import Observation
from plantops.events.commands import CommandClaimed, CommandExecuted
from plantops.flow.bus import MOST, Bus, Reader, Stored
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.signing import Signer
from plantops.runtime.errors import BrokerUnavailable, IntegrityError
from plantops.runtime.secrets import Secret
from plantops.simulation.image import ModbusImage
from plantops.simulation.modbus_server import plant_modbus_server
from plantops.simulation.plant import Plant as SimulatedPlant

EXECUTORS = 8
COMMANDS = 1000
PATIENCE_SECONDS = 300.0
_PAGE = 500
_DEVICE_SECONDS = 10.0


@dataclass(frozen=True)
class Race:
    """What became of `commands` commands; each number was asked for once and names its command."""

    commands: int
    executors: int
    written: Counter[int] = field(default_factory=Counter)
    claims: Counter[CommandId] = field(default_factory=Counter)
    outcomes: Counter[CommandId] = field(default_factory=Counter)
    executed: int = 0
    winners: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def wrong(self) -> tuple[int, ...]:
        """The commands that were not written once, claimed once and ended once."""
        return tuple(
            number
            for number in range(1, self.commands + 1)
            if (self.written[number], self.claims[_id(number)], self.outcomes[_id(number)]) != (1, 1, 1)
        )


def _id(number: int) -> CommandId:
    return CommandId(f"race{number}")


class _Heard(Reader):
    """Counts the deliveries that an executor is done with."""

    def __init__(self, reader: Reader, done: set[str]) -> None:
        self._reader, self._done = reader, done

    async def fetch(self, limit: int, timeout: float) -> list[Stored]:
        return await self._reader.fetch(limit, timeout)

    async def reset(self, sequence: int) -> int:
        return await self._reader.reset(sequence)

    async def ack(self, message: Stored) -> None:
        await self._reader.ack(message)
        self._done.add(message.subject)

    async def in_progress(self, message: Stored) -> None:
        await self._reader.in_progress(message)


class _Connection(JetStreamBus):
    """An executor's connection; `done` holds the subjects of all permits that it is done with."""

    done: set[str]

    async def reader(  # type: ignore[override]  # as `Bus` says it, which is all that an executor knows
        self, stream: str, consumer: str, *, ahead: bool = False, most: int = MOST
    ) -> Reader:
        return _Heard(await super().reader(stream, consumer, ahead=ahead, most=most), self.done)


class _Acknowledging:
    """An audit that has every record at once: the race is for the claim."""

    async def append(self, kind: str, body: Event, *, command: str = "") -> None:
        """Taken."""

    async def append_or_journal(self, kind: str, body: Event, *, command: str = "") -> bool:
        return True


async def _nobody(tags: Sequence[TagName]) -> Observation:
    raise IntegrityError(f"the race's commands need no foreign tags, and {tags} were asked for")


async def _refresh() -> None:
    """The policy stands."""


def _executor(made: Ground, bus: Bus, device: Device, state: Path, claims: type[Claims]) -> Executor:
    """As `adapters.host.reign` puts it together, with a lease that is always ours."""
    name, clock, view = bus.identity, SystemClock(), made.in_force()
    signer, rules = Signer(name, made.keys[name]), PolicyRules(PLANT, view, _refresh)
    hands = Hands(definition=DEFINITION, device=device, observe=_nobody, clock=clock)
    own = claims(bus, signer, clock, site=SITE, executor=name, epoch=1)
    auditor = _Acknowledging()
    return Executor(
        Place(SITE, SOURCE, name),
        bus=bus,
        signer=signer,
        trust=view,
        rules=rules,
        auditor=auditor,
        deeds=Deeds(hands, rules=rules, clock=clock, seen=lambda _tag: None),
        rehearsals=Rehearsals(hands, Invocations(hands, rules=rules, clock=clock), rules),
        reconciler=Reconciler(
            site=SITE,
            name=name,
            bus=bus,
            signer=signer,
            trust=view,
            auditor=auditor,
            hands=hands,
            claims=own,
            clock=clock,
        ),
        claims=own,
        outcomes=Outcomes(bus, clock, own, state / f"{name}.jsonl"),
        generations=Generations(),
        clock=clock,
        is_ours=lambda: True,
    )


async def race(
    folder: Path, *, executors: int, commands: int, tell: Tell, claims: type[Claims] = Claims
) -> Race:
    """Publish all permits, let all executors loose on them, and read what is there when each of them is done
    with each command. Raises: TimeoutError, BrokerUnavailable."""
    simulated = SimulatedPlant()
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(ground(folder / "nats", executors))
        server = await stack.enter_async_context(plant_modbus_server(ModbusImage(simulated)))
        written = stack.enter_context(counted(simulated))
        gate = await JetStreamBus.connect(made.url, "gate", seed=made.logins["gate"].seed)
        stack.push_async_callback(gate.close)
        tell(f"{commands} permits")
        await _permit(made, gate, commands)
        lanes, connections = [], []
        for name in made.names:
            bus = await _Connection.connect(made.url, name, seed=made.logins[name].seed)
            assert isinstance(bus, _Connection)
            bus.done = set()
            stack.push_async_callback(bus.close)
            connections.append(bus)
            device = await _attached(stack, server.port)
            lanes.append(_executor(made, bus, device, folder, claims))
        begun = time.perf_counter()
        works = [asyncio.create_task(executor.run("normal")) for executor in lanes]
        try:
            await _done(works, connections, commands, tell)
        finally:
            await end(works)
        seconds = time.perf_counter() - begun
        return await _result(gate, written, commands, executors, seconds)


async def _permit(made: Ground, gate: Bus, commands: int) -> None:
    view, signer = made.in_force(), Signer("gate", made.keys["gate"])
    for number in range(1, commands + 1):
        event = made.permitted(number, view)
        subject = subjects.command(SITE, "permitted", "gate", event.command)
        message = signer.message(subject, event, id=f"gate.{event.command}.permitted", time=time.time_ns())
        await gate.publish(message, stream="COMMANDS")


async def _attached(stack: AsyncExitStack, port: int) -> Device:
    """A device connection of its own, that stands."""
    settings = CHOSEN.settings(host="127.0.0.1", port=port)
    encoder, connection = (
        CHOSEN.build(DEFINITION, settings, _DEVICE_SECONDS, Secret) for _connection in range(2)
    )
    await connection.connect()
    stack.push_async_callback(connection.close)
    device = Device(SOURCE, encoder, CHOSEN.capabilities, timeout_seconds=_DEVICE_SECONDS)
    device.attach(connection)
    return device


async def _done(
    works: list[asyncio.Task[None]], connections: list[_Connection], commands: int, tell: Tell
) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (least := min(len(bus.done) for bus in connections)) < commands:
            for work in works:
                if work.done():
                    work.result()
                    raise BrokerUnavailable("an executor ended before the race did")
            tell(f"{least} of {commands} are done with by all")
            await asyncio.sleep(0.05)


async def _result(gate: Bus, written: list[float], commands: int, executors: int, seconds: float) -> Race:
    claims: Counter[CommandId] = Counter()
    outcomes: Counter[CommandId] = Counter()
    winners: Counter[str] = Counter()
    executed, start = 0, 1
    while page := await gate.history("COMMANDS", f"cmd.{SITE}.*.*.*", start, _PAGE):
        for stored in page:
            event = decode(stored.data)
            if isinstance(event, CommandClaimed):
                claims[event.command] += 1
                winners[event.executor] += 1
            elif isinstance(event, FINALS):
                outcomes[event.command] += 1
                executed += isinstance(event, CommandExecuted)
        start = page[-1].sequence + 1
    return Race(
        commands=commands,
        executors=executors,
        written=Counter(round(value) for value in written),
        claims=claims,
        outcomes=outcomes,
        executed=executed,
        winners=winners,
        seconds=seconds,
    )


async def run(load: Load, tell: Tell) -> list[Figure]:
    """One race."""
    commands = load.count(COMMANDS, least=10)
    async with temporary_folder() as folder:
        raced = await race(folder, executors=EXECUTORS, commands=commands, tell=tell)
    shares = sorted(raced.winners.values())
    note = (
        f"{EXECUTORS} executors in one process, each with its own login, consumer and device connection; "
        f"claims won by {len(shares)} of them, {shares[0]} to {shares[-1]} each"
    )
    return [
        figure("executors.commands", "commands raced for", commands, "commands", note=note),
        figure(
            "executors.writes",
            "writes that reached the device",
            raced.written.total(),
            "writes",
            note=f"exactly {commands} are wanted",
        ),
        figure("executors.executed", "commands executed", raced.executed, "commands"),
        figure(
            "executors.wrong",
            "commands not written once, claimed once and ended once",
            len(raced.wrong),
            "commands",
            better="lower",
            goal=0.0,
        ),
        figure("executors.rate", "commands ended by the race", commands / raced.seconds, "commands/s"),
    ]


BENCH = Bench("executors", "Executors racing for the same commands", run)
