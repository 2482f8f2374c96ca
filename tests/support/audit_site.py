"""A site's audit in memory: writers with real chains, a notary, and the broker's files to tamper with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from plantops.audit.notary_process import NotaryProcess
from plantops.audit.witness_process import WitnessProcess
from plantops.events import decode
from plantops.events.base import SiteName
from plantops.events.envelope import Message
from plantops.events.operations import CheckpointRefused, CheckpointSigned
from plantops.flow.bus import Bus, Stored
from plantops.flow.context import Context
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.ledger.record import WriterChain, seal_record
from plantops.policy.document import Policy, Principal
from plantops.policy.in_force import InForce
from plantops.policy.verify import Verified
from support.audit_log import SITE, audit_broker
from support.plant_samples import PLANT, POLICY, ROOT, key

WRITERS = ("gate", "press", "agent")
AT = datetime(2026, 3, 1, tzinfo=UTC)


def audit_policy(*names: str) -> Policy:
    """Processes with their own keys; the notary with its role."""
    principals = {
        name: Principal(kind="process", keys=(key(name).public.to_base64(),)) for name in names or WRITERS
    }
    principals["notary"] = Principal(
        kind="process", roles=("notary",), keys=(key("notary").public.to_base64(),)
    )
    principals["witness"] = Principal(
        kind="process", roles=("witness",), keys=(key("witness").public.to_base64(),)
    )
    return msgspec.structs.replace(POLICY, principals=principals)


def in_force(policy: Policy) -> InForce:
    return InForce(ROOT, SITE, Verified(policy=policy, digest=PLANT.digest, envelope=b""))


class Writers:
    """Makes records as `Auditor` does, without the waiting; five about each command, named by `command`."""

    def __init__(self, command: str = "c{}") -> None:
        self._command = command
        self._chains = {name: WriterChain(SITE, name) for name in WRITERS}
        self._count = 0

    def make(self, count: int) -> list[Message]:
        messages = []
        for _ in range(count):
            writer = ("gate", "press", "gate", "agent", "press")[self._count % 5]
            body = b'{"number":%d}' % self._count
            record = self._chains[writer].next(
                "command.permitted", self._command.format(self._count // 5), body, AT
            )
            stored = seal_record(record, key(writer))
            self._chains[writer] = self._chains[writer].after(stored)
            self._count += 1
            messages.append(Message(f"audit.{SITE}.{writer}", stored))
        return messages


class AuditSite:
    """`write` stores records; `step` lets a notary look once; `tamper` changes what the broker holds."""

    def __init__(self, folder: Path) -> None:
        self.broker = audit_broker()
        self.broker.add_stream("KV_snapshot-notary", ["$KV.snapshot-notary.>"], max_per_subject=1)
        self.folder = folder
        self.writers = Writers()
        self.policy = in_force(audit_policy())
        self.bus = self.broker.bus("auditor")

    def notary(self, name: str = "notary", *, bus: Bus | None = None) -> NotaryProcess:
        context = Context(
            site=SiteName(SITE),
            name="notary",
            bus=bus or self.broker.bus(name),
            signer=Signer("notary", key("notary")),
            in_force=self.policy,
            plant=PLANT,
            state=self.folder / name,
            now=lambda: AT,
        )
        return NotaryProcess(context, poll_seconds=0.01)

    def witness(self, name: str = "witness") -> WitnessProcess:
        context = Context(
            site=SiteName(SITE),
            name="witness",
            bus=self.broker.bus(name),
            signer=Signer("witness", key("witness")),
            in_force=self.policy,
            plant=PLANT,
            state=self.folder / name,
            now=lambda: AT,
        )
        return WitnessProcess(context, poll_seconds=0.01)

    def write(self, count: int) -> None:
        if messages := self.writers.make(count):
            self.broker.store(messages, "AUDIT", None, "")

    async def signed(self, count: int) -> NotaryProcess:
        """Write and let a notary sign all of it."""
        self.write(count)
        notary = self.notary()
        await notary.step()
        assert notary.refusal == ""
        return notary

    @property
    def log(self) -> dict[int, Stored]:
        return self.broker.stream("AUDIT").messages

    def events(self) -> list[CheckpointSigned | CheckpointRefused]:
        found = []
        for stored in self.broker.stream("CHECKPOINTS").messages.values():
            event = decode(stored.data)
            assert isinstance(event, CheckpointSigned | CheckpointRefused)
            found.append(event)
        return found

    def replace(self, stored: Sequence[Stored], *, created: str | None = None) -> None:
        """Let AUDIT hold just these, numbered anew: what somebody does who owns the broker."""
        stream = self.broker.stream("AUDIT")
        stream.messages.clear()
        for number, message in enumerate(stored, 1):
            stream.messages[number] = replace(message, sequence=number)
        stream.last = len(stored)
        if created is not None:
            stream.created = created


def flip(data: bytes, at: int = 40) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def edited(site: AuditSite, index: int, change: Callable[[bytes], bytes] = flip) -> list[Stored]:
    """The log with one record changed."""
    log = list(site.log.values())
    log[index] = replace(log[index], data=change(log[index].data))
    return log


def stranger() -> SigningKey:
    return key("stranger")
