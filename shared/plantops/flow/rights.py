"""What one identity may publish and hear, worked out from what it declares. Nothing else is allowed.

A right is a subject, so a declaration is checked before it becomes one: written subjects must lie within
their stream, and nothing may begin with a wildcard or with a name that belongs to the broker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from plantops.events.base import is_token
from plantops.flow.declaration import (
    ClientSpec,
    ProcessSpec,
    alive_subject,
    consumer_name,
    snapshot_stream,
    snapshot_subject,
)
from plantops.flow.patterns import covers, overlaps
from plantops.flow.streams import TOLD_PREFIX, StreamSpec
from plantops.runtime.errors import SettingsError

DOOR_PREFIX = "door."

ANSWERS = "_R_.>"
"""Where an answer goes back over an account border: a name that the server made, only for this request."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Subject patterns of one login; an empty tuple means nothing at all."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def inbox_prefix(name: str) -> str:
    """Where answers to an identity arrive: `inbox_prefix` of its connection."""
    return f"_INBOX.{name}"


def stored_subjects(spec: ProcessSpec) -> tuple[str, ...]:
    """What a process publishes to its account's streams, and asks of JetStream about them."""
    subjects = [*_reading(spec), *(subject for writes in spec.writes for subject in writes.subjects)]
    for stream in {writes.stream for writes in spec.writes} | set(spec.lookups):
        subjects += [f"$JS.API.STREAM.MSG.GET.{stream}", f"$JS.API.STREAM.INFO.{stream}"]
    if spec.snapshots:
        stream = snapshot_stream(spec.name)
        subjects += [f"$JS.API.STREAM.MSG.GET.{stream}", f"$JS.API.STREAM.INFO.{stream}"]
        subjects.append(snapshot_subject(spec.name, ">"))
    return unique(subjects)


def process_rights(spec: ProcessSpec, site: str) -> Rights:
    """The rights of one process, in the subjects that it uses itself."""
    publish = [*stored_subjects(spec), *spec.asks]
    if spec.audits:
        publish += [audit_subject(spec.name, site), head_subject(spec.name, site)]
    if served(spec):
        publish.append(ANSWERS)
    subscribe = [f"{inbox_prefix(spec.name)}.>", *served(spec), *spec.hears]
    if spec.standby:
        # Asker and answerer are in the account of their identity: the answer needs no border, but a right.
        publish += [alive_subject(spec.name), f"{inbox_prefix(spec.name)}.>"]
        subscribe.append(alive_subject(spec.name))
    return Rights(unique(publish), unique(subscribe))


def client_rights(client: ClientSpec, site: str, processes: Sequence[ProcessSpec]) -> Rights:
    """The rights of a person, agent or outside program: own name at the doors, public services, results."""
    doors = [
        door_outside(door) if client.relays and door in relayed_doors(site) else own_door(door, client.name)
        for spec in processes
        for door in spec.door
    ]
    services = [service for spec in processes for service in spec.public]
    return Rights(unique([*doors, *services]), (f"{inbox_prefix(client.name)}.>", f"cmd.{site}.>"))


def relayed_doors(site: str) -> tuple[str, ...]:
    """Behind them words count by the signature of whoever they are from, not by who hands them in."""
    return tuple(f"{DOOR_PREFIX}{area}.{site}.>" for area in ("intent", "approval"))


def audit_subject(name: str, site: str) -> str:
    """Where one writer's audit records are stored."""
    return f"audit.{site}.{name}"


def head_subject(name: str, site: str) -> str:
    """What one writer asks the notary: its last record."""
    return f"head.{site}.{name}"


def served(spec: ProcessSpec) -> tuple[str, ...]:
    """Every subject on which a process answers."""
    return unique([*spec.serves, *spec.public, *spec.door])


def own_door(door: str, client: str) -> str:
    """What a client requests at `door` (`door.intent.demo.>` is `intent.demo.alice.>` for alice)."""
    return f"{door_outside(door).removesuffix('>')}{client}.>"


def door_outside(door: str) -> str:
    """The door's subject as CLIENTS sees it. Raises: SettingsError unless it is door.<area>.<site>.>"""
    parts = door.split(".")
    if len(parts) != 4 or parts[0] != "door" or parts[3] != ">" or not all(map(is_token, parts[1:3])):
        raise SettingsError(f"door {door!r} must have the form door.<area>.<site>.>", setting="door")
    return door.removeprefix(DOOR_PREFIX)


def check_declaration(spec: ProcessSpec, table: Sequence[StreamSpec]) -> None:
    """Raises: SettingsError when a declaration would give more than its own streams and services."""
    _check_streams(spec, table)
    for door in spec.door:
        door_outside(door)
    for subject in (*served(spec), *spec.asks):
        if " " in subject or not is_token(subject.split(".", maxsplit=1)[0]):
            raise SettingsError(f"{spec.name}: {subject!r} must begin with a plain word", setting=spec.name)
    _check_services(spec, [pattern for stream in table for pattern in stream.subjects])
    for subject in spec.hears:
        # Over an account border the server carries stored messages that are told, and no others.
        if spec.account != "PLANT" or not covers(f"{TOLD_PREFIX}>", subject):
            raise SettingsError(
                f"{spec.name}: only {TOLD_PREFIX}> can be heard, not {subject!r}", setting=spec.name
            )


def unique(subjects: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(subjects)))


def _check_streams(spec: ProcessSpec, table: Sequence[StreamSpec]) -> None:
    known = {stream.name: stream for stream in table if stream.account == spec.account}
    for stream in [r.stream for r in spec.reads] + [w.stream for w in spec.writes] + list(spec.lookups):
        if stream not in known:
            raise SettingsError(f"{spec.name}: no stream {stream!r} in {spec.account}", setting=spec.name)
    for writes in spec.writes:
        for subject in writes.subjects:
            if not any(covers(pattern, subject) for pattern in known[writes.stream].subjects):
                raise SettingsError(
                    f"{spec.name}: {subject!r} is no subject of {writes.stream}", setting=spec.name
                )


def _check_services(spec: ProcessSpec, stored: Sequence[str]) -> None:
    for subject in (*served(spec), *spec.asks):
        reserved = [*stored, f"{TOLD_PREFIX}>"]
        reserved.append("alive.>")
        if subject not in spec.door:
            reserved.append(f"{DOOR_PREFIX}>")
        if spec.account != "AUDIT":
            reserved.append("head.>")
        if any(overlaps(pattern, subject) for pattern in reserved):
            raise SettingsError(
                f"{spec.name}: {subject!r} belongs to a stream, a door or the notary and is no service",
                setting=spec.name,
            )


def _reading(spec: ProcessSpec) -> Iterable[str]:
    for reads in spec.reads:
        place = f"{reads.stream}.{consumer_name(spec.name, reads)}"
        yield f"$JS.API.CONSUMER.MSG.NEXT.{place}"
        if reads.kind == "fold":
            yield f"$JS.API.CONSUMER.RESET.{place}"
        # Both forms of the acknowledgement subject (ADR-15): plain, and with domain and account.
        yield f"$JS.ACK.{place}.>"
        yield f"$JS.ACK.*.*.{place}.>"
        yield f"$JS.API.STREAM.INFO.{reads.stream}"
