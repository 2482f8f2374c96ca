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
    consumer_name,
    snapshot_stream,
    snapshot_subject,
)
from plantops.flow.patterns import covers, overlaps
from plantops.flow.streams import TOLD_PREFIX, StreamSpec
from plantops.runtime.errors import SettingsError

DOOR_PREFIX = "door."


@dataclass(frozen=True, slots=True)
class Rights:
    """Subject patterns of one login; an empty tuple means nothing at all."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def inbox_prefix(name: str) -> str:
    """Where answers to an identity arrive: `inbox_prefix` of its connection."""
    return f"_INBOX.{name}"


def process_rights(
    spec: ProcessSpec, site: str, everybody: Sequence[ProcessSpec], table: Sequence[StreamSpec]
) -> Rights:
    """The rights of one process among `everybody`.

    Raises: SettingsError for a declaration that asks too much.
    """
    _check(spec, table)
    own_streams = {writes.stream for writes in spec.writes} | set(spec.lookups)
    publish = [
        *_reading(spec),
        *(subject for writes in spec.writes for subject in writes.subjects),
        *(f"$JS.API.STREAM.MSG.GET.{stream}" for stream in own_streams),
        *(f"$JS.API.STREAM.INFO.{stream}" for stream in own_streams),
        *spec.asks,
        *_answers(spec, site, everybody),
    ]
    if spec.snapshots:
        stream = snapshot_stream(spec.name)
        publish += [snapshot_subject(spec.name, ">"), f"$JS.API.STREAM.MSG.GET.{stream}"]
        publish += [f"$JS.API.STREAM.INFO.{stream}"]
    if spec.audits:
        publish += audit_subjects(spec.name, site)
    subscribe = [f"{inbox_prefix(spec.name)}.>", *_served(spec), *spec.hears]
    return Rights(_unique(publish), _unique(subscribe))


def client_rights(client: ClientSpec, site: str, everybody: Sequence[ProcessSpec]) -> Rights:
    """The rights of a person, agent or outside program: own name at the doors, public services, results."""
    doors = [own_door(door, client.name) for spec in everybody for door in spec.door]
    services = [service for spec in everybody for service in spec.public]
    return Rights(_unique([*doors, *services]), (f"{inbox_prefix(client.name)}.>", f"cmd.{site}.>"))


def audit_subjects(name: str, site: str) -> list[str]:
    """What crosses from PLANT into AUDIT for one writer: its records, and its question for the last one."""
    return [f"audit.{site}.{name}", f"head.{site}.{name}"]


def own_door(door: str, client: str) -> str:
    """What a client requests at `door` (`door.intent.demo.>` is `intent.demo.alice.>` for alice)."""
    return f"{door_outside(door).removesuffix('>')}{client}.>"


def door_outside(door: str) -> str:
    """The door's subject as CLIENTS sees it. Raises: SettingsError unless it is door.<area>.<site>.>"""
    parts = door.split(".")
    if len(parts) != 4 or parts[0] != "door" or parts[3] != ">" or not all(map(is_token, parts[1:3])):
        raise SettingsError(f"door {door!r} must have the form door.<area>.<site>.>", setting="door")
    return door.removeprefix(DOOR_PREFIX)


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


def _served(spec: ProcessSpec) -> tuple[str, ...]:
    return (*spec.serves, *spec.public, *spec.door)


def _answers(spec: ProcessSpec, site: str, everybody: Sequence[ProcessSpec]) -> Iterable[str]:
    """Where a serving process may answer: the inboxes of those who declare to ask it, and over the border.

    Never wherever the asker says: the asker chooses the reply subject.
    """
    served = _served(spec)
    for other in everybody:
        if other.account == spec.account and any(
            overlaps(asked, subject) for asked in _asked(other, site) for subject in served
        ):
            yield f"{inbox_prefix(other.name)}.>"
    crossing = [*spec.public, *spec.door]
    if spec.account == "AUDIT":
        crossing += [subject for subject in served if overlaps(subject, f"head.{site}.*")]
    if crossing:
        yield "_R_.>"


def _asked(spec: ProcessSpec, site: str) -> list[str]:
    return [*spec.asks, *(audit_subjects(spec.name, site) if spec.audits else ())]


def _check(spec: ProcessSpec, table: Sequence[StreamSpec]) -> None:
    known = {stream.name: stream for stream in table if stream.account == spec.account}
    named = [r.stream for r in spec.reads] + [w.stream for w in spec.writes] + list(spec.lookups)
    for stream in named:
        if stream not in known:
            raise SettingsError(f"{spec.name}: no stream {stream!r} in {spec.account}", setting=spec.name)
    for writes in spec.writes:
        for subject in writes.subjects:
            if not any(covers(pattern, subject) for pattern in known[writes.stream].subjects):
                raise SettingsError(
                    f"{spec.name}: {subject!r} is no subject of {writes.stream}", setting=spec.name
                )
    for subject in (*_served(spec), *spec.asks, *spec.hears):
        _check_plain(spec.name, subject)
    for subject in (*_served(spec), *spec.asks):
        _check_no_stream(spec, subject, known.values())


def _check_plain(name: str, subject: str) -> None:
    first = subject.split(".", maxsplit=1)[0]
    if not is_token(first) or " " in subject:
        raise SettingsError(f"{name}: {subject!r} must begin with a plain word", setting=name)


def _check_no_stream(spec: ProcessSpec, subject: str, known: Iterable[StreamSpec]) -> None:
    taken = [pattern for stream in known for pattern in stream.subjects]
    taken += [f"{TOLD_PREFIX}>", "audit.>"]
    if subject in spec.serves and spec.account == "PLANT":
        taken += ["head.>", f"{DOOR_PREFIX}>"]
    if any(overlaps(pattern, subject) for pattern in taken):
        raise SettingsError(
            f"{spec.name}: {subject!r} belongs to a stream, a door or the notary", setting=spec.name
        )


def _unique(subjects: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(subjects)))
