"""The demo's steps. Each acts through the doors that everybody has, and shows what came back."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plantops.cli.approvals import give
from plantops.cli.commands import ask_and_follow, ended_badly
from plantops.cli.following import describe
from plantops.cli.output import Voice, quality_text, safe, shown, working
from plantops.cli.plant_control import tell_plant
from plantops.cli.proofs import export_and_damage, verify_all
from plantops.cli.session import Session
from plantops.deployment.site import Site
from plantops.events.base import Scalar, TagName
from plantops.events.commands import ApprovalRefused
from plantops.events.quality import is_good
from plantops.events.queries import (
    CommandsAsked,
    CommandsListed,
    CommandStatus,
    TagsAsked,
    TagState,
    TagsTold,
)
from plantops.runtime.errors import PlantOpsError, Refused

PATIENCE_SECONDS = 20.0
# What `nats pub` does, in a program that knows nothing of PlantOps.
PLAIN_CLIENT = """
import asyncio, ssl, sys, nats
async def main(url, seed, subject, text, ca):
    tls = ssl.create_default_context(cafile=ca) if ca else None
    client = await nats.connect(url, nkeys_seed=seed, tls=tls)
    await client.publish(subject, text.encode())
    await client.flush()
    await client.close()
asyncio.run(main(*sys.argv[1:]))
"""

Step = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the story is played: broker, the simulated plant's control port, a folder for its export."""

    url: str
    plant_host: str
    plant_port: int
    export: Path


class Story:
    """Alice operates, Bob supervises, Carol watches."""

    def __init__(self, site: Site, people: Mapping[str, Session], ground: Ground, voice: Voice) -> None:
        self._site, self._ground, self._voice = site, ground, voice
        self._say = voice.say
        self.alice, self.bob, self.carol = people["alice"], people["bob"], people["carol"]

    def steps(self) -> tuple[tuple[str, Step], ...]:
        """Titles and what to do, in order."""
        return (
            ("Live values, from Modbus and from OPC UA", self.live_values),
            ("Alice starts the pump: simulated, confirmed, written, verified", self.start),
            ("Alice sets 1200 RPM the same way, and the pump really turns", self.set_speed),
            ("Carol may only watch: denied by role", self.denied_by_role),
            ("The motor is at 96 °C: denied by a permissive", self.denied_by_heat),
            ("The PLC hangs: denied, because nothing is known", self.denied_by_silence),
            ("A stop outruns a start that waits for its confirmation", self.stop_outruns),
            ("A critical operation: not by its own requester, but by a second person", self.second_person),
            ("An outsider with a plain NATS client", self.outsider),
            ("The audit proves it, and one changed byte is found", self.proof),
        )

    async def live_values(self) -> None:
        """Both sources deliver good values."""
        names = (
            "plc1.pump.speed",
            "plc1.pump.motor_temperature",
            "plc1.pump.running",
            "opc1.tank.level",
            "opc1.valve.position",
        )
        for name in names:
            await self._until(name, lambda tag: is_good(tag.quality), "has a good value")
        tags = await self._tags(*names)
        rows = ((t.tag, shown(t.value), t.unit, quality_text(t.quality), t.source) for t in tags)
        self._voice.rows("", ("tag", "value", "unit", "quality", "source"), rows)

    async def start(self) -> None:
        """HIGH: simulate, confirm by reference, then it really runs."""
        status = await self._ask(self.alice, "pump-001", "StartPump")
        await self._ask(self.alice, "pump-001", "StartPump", confirms=status)
        self._expect(await self._until("plc1.pump.running", lambda tag: tag.value is True, "is on"))

    async def set_speed(self) -> None:
        """The plant follows what was written."""
        status = await self._ask(self.alice, "pump-001", "SetSpeed", {"RPM": 1200})
        await self._ask(self.alice, "pump-001", "SetSpeed", {"RPM": 1200}, confirms=status)
        self._expect(await self._until("plc1.pump.speed", lambda tag: _number(tag) > 300, "rises over 300"))

    async def denied_by_role(self) -> None:
        """Rights come from the signed policy."""
        await self._denied(self.carol, "pump-001", "SetSpeed", {"RPM": 900}, "role")

    async def denied_by_heat(self) -> None:
        """A permissive that does not hold."""
        await self._plant({"tell": "temperature", "value": 96.0})
        await self._until("plc1.pump.motor_temperature", lambda tag: _number(tag) > 95.5, "is above 95.5")
        await self._denied(self.alice, "pump-001", "SetSpeed", {"RPM": 1500}, "permissive")
        await self._plant({"clear": "temperature"})
        await self._until("plc1.pump.motor_temperature", lambda tag: _number(tag) < 90, "is cool again")

    async def denied_by_silence(self) -> None:
        """The device keeps the connection and never answers."""
        await self._plant({"hang": "modbus"})
        name = "plc1.pump.motor_temperature"
        self._expect(await self._until(name, lambda tag: not is_good(tag.quality), "is no longer good"))
        await self._denied(self.alice, "pump-001", "SetSpeed", {"RPM": 1000}, "")
        await self._plant({"resume": "modbus"})
        for tag in (name, "plc1.pump.speed", "plc1.pump.running"):
            await self._until(tag, lambda tag: is_good(tag.quality), "is good again")
        self._say("  the PLC answers again")

    async def stop_outruns(self) -> None:
        """The generation of the asset rises: what was pending is void."""
        pending = await self._ask(self.alice, "pump-001", "SetSpeed", {"RPM": 2000})
        await self._ask(self.bob, "pump-001", "StopPump")
        await self._denied(self.alice, "pump-001", "SetSpeed", {"RPM": 2000}, "", confirms=pending)
        self._expect(await self._until("plc1.pump.running", lambda tag: tag.value is False, "is off"))

    async def second_person(self) -> None:
        """CRITICAL: simulated, then approved by somebody else."""
        await self._until("plc1.pump.speed", lambda tag: _number(tag) < 95, "is below 95")
        status = await self._ask(self.alice, "pump-001", "ResetFault")
        answer, _status = await give(self.alice, status.handle, "approve")
        if not isinstance(answer, ApprovalRefused):
            raise Refused(f"the gate took alice's approval of her own command: {answer}", reason="demo")
        self._say(f"  [yellow]alice's own approval is refused:[/] {safe(answer.reason)}")
        await give(self.bob, status.handle, "approve", "checked at the drive")
        self._say(f"  bob approves {status.handle}")
        await self._ended(self.alice, status)

    async def outsider(self) -> None:
        """Unsigned, so only as far as the policy lets unsigned intents go; the login says who it is."""
        subject = f"intent.{self._site.name}.alice.valve-001.SetPosition"
        text = '{"arguments":{"PERCENT":40.0}}'
        self._say(f"  nats pub {subject} '{safe(text)}'")
        before = await self._newest()
        seed = self._site.folder.identity("alice", person=True).login
        ca = self._site.settings.broker.ca
        authority = str(self._site.folder.root / ca) if ca else ""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PLAIN_CLIENT, self._ground.url, str(seed), subject, text, authority
        )
        if await process.wait() != 0:
            raise Refused("the plain client could not publish", reason="demo")
        status = await self._poll(self._newest, lambda now: now is not None and now != before, "is taken")
        assert status is not None
        await self._ended(self.alice, status)
        self._expect(await self._until("opc1.valve.position", lambda tag: _number(tag) > 1, "opens"))

    async def proof(self) -> None:
        """From the log itself, with nothing but files and public keys."""
        await verify_all(self._site, self._voice)
        await export_and_damage(self._site, self._ground.export, self._voice)

    async def _ask(
        self,
        person: Session,
        asset: str,
        operation: str,
        arguments: Mapping[str, Scalar] | None = None,
        *,
        confirms: CommandStatus | None = None,
    ) -> CommandStatus:
        """Ask and follow. Raises: Refused when it ended badly."""
        intent = person.intent(asset, operation, dict(arguments or {}), confirms=confirms)
        status = await ask_and_follow(person, intent, PATIENCE_SECONDS, self._voice)
        if ended_badly(status):
            raise Refused(f"{status.handle} {describe(status)}", reason="demo")
        return status

    async def _denied(
        self,
        person: Session,
        asset: str,
        operation: str,
        arguments: Mapping[str, Scalar],
        because: str,
        *,
        confirms: CommandStatus | None = None,
    ) -> None:
        """Ask for what must be denied. Raises: Refused when it was not, or for another reason."""
        intent = person.intent(asset, operation, dict(arguments), confirms=confirms)
        status = await ask_and_follow(person, intent, PATIENCE_SECONDS, self._voice)
        if status.phase != "denied" or not status.reason.startswith(because):
            raise Refused(
                f"{status.handle} should be denied for {because}: {describe(status)}", reason="demo"
            )

    async def _ended(self, person: Session, status: CommandStatus) -> None:
        async def look() -> CommandStatus:
            told = await person.ask("command", "list", CommandsAsked(limit=20), CommandsListed)
            return next(one for one in told.commands if one.command == status.command)

        final = await self._poll(
            look, lambda one: one.outcome == "command.executed" or ended_badly(one), "ends"
        )
        self._say(
            f"  {final.handle} {final.asset}.{final.operation} by {final.actor}: {safe(describe(final))}"
        )
        if ended_badly(final):
            raise Refused(f"{final.handle} {describe(final)}", reason="demo")

    async def _newest(self) -> CommandStatus | None:
        told = await self.alice.ask("command", "list", CommandsAsked(limit=1), CommandsListed)
        return told.commands[0] if told.commands else None

    async def _tags(self, *names: str) -> tuple[TagState, ...]:
        asked = TagsAsked(tags=tuple(TagName(name) for name in names))
        return (await self.alice.ask("twin", "get", asked, TagsTold)).tags

    async def _until(self, name: str, holds: Callable[[TagState], bool], what: str) -> TagState:
        async def look() -> TagState | None:
            try:
                tags = await self._tags(name)
            except PlantOpsError:
                return None  # the twin may still be starting
            return tags[0] if tags else None

        wish = f"{name} {what}"
        with working(f"waiting until {wish}…", quiet=self._voice.json):
            found = await self._poll(look, lambda tag: tag is not None and holds(tag), wish)
        assert isinstance(found, TagState)
        return found

    @staticmethod
    async def _poll(look: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = await look()
            if holds(found):
                return found
            if time.monotonic() > deadline:
                raise Refused(f"waited {PATIENCE_SECONDS:g} s in vain: {what}", reason="demo")
            await asyncio.sleep(0.1)

    def _expect(self, tag: TagState) -> None:
        quality = quality_text(tag.quality)
        unit = f" {tag.unit}" if tag.unit else ""
        self._say(f"  {tag.tag} = {safe(shown(tag.value))}{unit} [{quality.style}]{quality.plain}[/]")

    async def _plant(self, request: dict[str, Any]) -> None:
        await tell_plant(self._ground.plant_port, request, self._ground.plant_host)


def _number(tag: TagState) -> float:
    value = tag.value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return float("nan")
    return float(value)
