"""What a process says about itself; its NATS rights, consumers and the flow drawing follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from plantops.flow.processor import Reads

Account: TypeAlias = Literal["PLANT", "AUDIT", "CLIENTS"]


@dataclass(frozen=True, slots=True)
class Writes:
    """Subjects on which a process stores events, and their types (for the drawing and the schemas)."""

    stream: str
    subjects: tuple[str, ...]
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One identity: its connection has exactly these rights, an own inbox prefix, and nothing else.

    `lookups` are streams that it may read by sequence or last-by-subject. `serves` are services in its
    own account; those in `public` are reached from CLIENTS too (`door` ones with the asker's login told by
    the server). `asks` are services it requests, `hears` subjects it listens to without a stream.
    `snapshots`: it has a bucket of its own for snapshots. `standby`: several processes may run under it, of
    which one is at work and tells the others so.
    """

    name: str
    account: Account = "PLANT"
    reads: tuple[Reads, ...] = ()
    writes: tuple[Writes, ...] = ()
    lookups: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    door: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    audits: bool = False
    snapshots: bool = False
    standby: bool = False


@dataclass(frozen=True, slots=True)
class ClientSpec:
    """A person, agent or program in CLIENTS: may request intents and approvals under its own name,
    public services, and hear results.

    `relays`: it may hand in signed intents and approvals of others. The doors take nothing unsigned on a name
    that is not the login's.
    """

    name: str
    public_key: str
    relays: bool = False


def consumer_name(process: str, reads: Reads) -> str:
    """The durable's name on its stream: the process, and the consumer's own name where it has several."""
    return f"{process}-{reads.name}" if reads.name else process


def alive_subject(process: str) -> str:
    """Where the one that is at work tells the others of its identity so; it crosses no account border."""
    return f"alive.{process}"


def snapshot_stream(process: str) -> str:
    """The stream behind a process's snapshot bucket."""
    return f"KV_snapshot-{process}"


def snapshot_subject(process: str, key: str) -> str:
    """Where one snapshot key of a process is stored."""
    return f"$KV.snapshot-{process}.{key}"
