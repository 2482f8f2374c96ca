"""What crosses from one account into another, as data.

Every process has an account of its own, and so each of its rights is an import. The reason: whoever sends
a request chooses the reply subject, and the server itself publishes there, in the account of the asker,
whatever the asker may publish. Behind a border of its own that reaches only what the asker may reach anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from plantops.flow.declaration import ProcessSpec
from plantops.flow.patterns import covers, overlaps
from plantops.flow.rights import audit_subject, door_outside, head_subject, served, stored_subjects
from plantops.flow.streams import TOLD_PREFIX
from plantops.runtime.errors import SettingsError

Kind: TypeAlias = Literal["service", "stream"]

CLIENTS: Final = "CLIENTS"
API: Final = "$JS.API."
OWN_API: Final = "$JS.hub.API."
"""In a process's account `$JS.API` is the server's own import, and says that there is no JetStream: what a
process publishes there is mapped to this name first."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """`subject` of account `owner` is reached as `name` in account `importer`.

    `share`: the server tells the service who asks.
    """

    owner: str
    importer: str
    subject: str
    name: str
    kind: Kind = "service"
    share: bool = False


def own_account(process: str) -> str:
    """The account in which one process logs in."""
    return f"process-{process}"


def crossings(site: str, processes: Sequence[ProcessSpec]) -> list[Crossing]:
    """Everything that crosses, each once. Raises: SettingsError when somebody asks what nobody serves."""
    found = [crossing for spec in processes for crossing in _into_streams(spec, site)]
    for spec in processes:
        found += _asking(spec, site, processes)
        found += _public(spec)
    told = f"{TOLD_PREFIX}cmd.{site}.>"
    found.append(Crossing("PLANT", CLIENTS, told, told.removeprefix(TOLD_PREFIX), "stream"))
    return list(dict.fromkeys(found))


def renamed(subject: str) -> str:
    """The subject as it is known behind a process's border."""
    return OWN_API + subject.removeprefix(API) if subject.startswith(API) else subject


def _into_streams(spec: ProcessSpec, site: str) -> Iterable[Crossing]:
    account = own_account(spec.name)
    for subject in stored_subjects(spec):
        yield Crossing(spec.account, account, subject, renamed(subject))
    for subject in spec.hears:
        yield Crossing(spec.account, account, subject, subject, "stream")
    if spec.audits:
        subject = audit_subject(spec.name, site)
        yield Crossing("AUDIT", account, subject, subject)


def _asking(spec: ProcessSpec, site: str, processes: Sequence[ProcessSpec]) -> Iterable[Crossing]:
    for asked in spec.asks:
        answered = False
        for other in processes:
            for service in served(other):
                if overlaps(asked, service):
                    answered = True
                    yield _service(other, spec, asked, service)
        if not answered:
            raise SettingsError(f"{spec.name} asks {asked!r}, which no process serves", setting=spec.name)
    if spec.audits:
        head = head_subject(spec.name, site)
        for other in processes:
            yield from (_service(other, spec, head, s) for s in served(other) if overlaps(head, s))


def _service(owner: ProcessSpec, asker: ProcessSpec, asked: str, service: str) -> Crossing:
    if owner.name == asker.name:
        raise SettingsError(f"{asker.name} asks its own service {asked!r}", setting=asker.name)
    narrow = asked if covers(service, asked) else service
    if not covers(asked, narrow):
        raise SettingsError(f"{asker.name}: {asked!r} and {service!r} cross: name one service", setting=asked)
    return Crossing(own_account(owner.name), own_account(asker.name), narrow, narrow)


def _public(spec: ProcessSpec) -> Iterable[Crossing]:
    account = own_account(spec.name)
    for service in spec.public:
        yield Crossing(account, CLIENTS, service, service, share=True)
    for door in spec.door:
        yield Crossing(account, CLIENTS, door, door_outside(door), share=True)
