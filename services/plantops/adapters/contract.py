"""What an adapter is: one folder, one `SPEC`, one line in the registry.

Building a connection checks the settings and opens nothing; connecting opens and checks nothing else.
So wrong settings stop the process, and an absent device is retried.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from plantops.events.base import Record, Scalar
from plantops.events.command_parts import Invocation
from plantops.events.frames import Sample
from plantops.events.tags import Kind, Range, SourceDefined
from plantops.runtime.secrets import Secret


class TagSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[tags]]` of a source file; `address` is written in the adapter's own notation.

    `deadband` is an absolute change in engineering units below which a value is not sent again.
    """

    name: str
    address: str
    group: str = ""
    unit: str = ""
    description: str = ""
    writable: bool = False
    raw: Range | None = None
    engineering: Range | None = None
    clamp: bool = False
    limits: dict[str, float] = {}
    texts: dict[str, str] = {}
    deadband: float = 0.0
    area: str = ""
    alarm_priority: int = 0
    alarm_class: str = ""
    operator_position: str = ""


class GroupSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[groups]]`: tags that are polled or watched together every `period_ms`."""

    name: str
    period_ms: int


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A source file: `connection` is checked against the adapter's own settings type.

    `heartbeat_seconds`: an unchanged value is sent again after this long. `outbox_frames` bounds what is
    kept while the broker is away; what exceeds it is dropped, oldest first, and told as a gap. Only a source
    that carries out whole operations may be without tags; its groups then say how often it is looked after.
    """

    adapter: str
    connection: Mapping[str, Any] = {}
    groups: tuple[GroupSettings, ...]
    tags: tuple[TagSettings, ...] = ()
    heartbeat_seconds: float = 60.0
    outbox_frames: int = 10_000
    timeout_seconds: float = 3.0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the protocol can do; the host polls a source that cannot `subscribe`.

    `concurrent`: a write may be called while a read runs, and goes out before the read's next request.
    Otherwise the host waits for the read to end. Two writes never run at the same time.
    `invoke`: it carries out whole operations; its connection is an `Invoker`.
    """

    write: bool = False
    browse: bool = False
    subscribe: bool = False
    concurrent: bool = False
    invoke: bool = False


@dataclass(frozen=True, slots=True)
class Browsed:
    """One thing found in a device: an address that a `[[tags]]` entry may use as it stands."""

    address: str
    name: str
    kind: Kind | None
    writable: bool = False
    description: str = ""


class Invoked(Record, frozen=True):
    """How a device ended an operation that it carried out itself: `outputs` by its own names.

    `failed` says that the device ran it and was not successful; what it did by then is not known here.
    """

    state: Literal["completed", "failed"]
    outputs: Mapping[str, Scalar] = {}
    message: str = ""


class Sink(Protocol):
    """Where a subscribed connection puts what it hears; called in the event loop, never blocks."""

    def samples(self, samples: Sequence[Sample], observed_at: int) -> None:
        """New samples, in the order in which the device gave them; `observed_at` in ns since 1970."""
        ...

    def confirm(self, group: int, observed_at: int) -> None:
        """The device (not only the link) was heard for this group: what was not sent has not changed."""
        ...

    def overflow(self, samples: int) -> None:
        """The device says that it lost samples before we got them; 0 where it cannot say how many."""
        ...

    def lost(self, cause: str) -> None:
        """The connection is gone; the host closes it and connects again with backoff."""
        ...


class Connection(Protocol):
    """One device. Tags are meant by their position in the definition.

    Every method but `encode` may raise DeviceUnavailable (try again later) or DeviceProtocolError (drop the
    connection); after a time-out the connection must be dropped, so that a late reply is never taken for
    a newer one.
    """

    async def connect(self) -> None:
        """Open. Raises: DeviceUnavailable; SettingsError when the device refuses the credentials."""
        ...

    async def read(self, tags: Sequence[int]) -> list[Sample]:
        """One sample for each tag asked, in that order.

        A tag that the device refuses, or whose value cannot be converted, is a sample with bad quality
        and no value; its neighbours are not affected. A source without tags is read with none in each
        period, to hear whether the device is there.
        """
        ...

    def encode(self, tag: int, value: Scalar) -> str:
        """What would go over the wire, for people; opens nothing.

        Raises: WriteRejected when the tag is not writable or the value does not fit its type or range.
        """
        ...

    async def write(self, tag: int, value: Scalar) -> None:
        """Write one value in engineering units; returns when the device has accepted it.

        Raises: WriteRejected when it is certain that nothing was written; any other DeviceError means that
        it may or may not have been.
        """
        ...

    async def subscribe(self, sink: Sink) -> None:
        """Start telling `sink` all tags of all groups; returns when the subscription stands."""
        ...

    def browse(self) -> AsyncIterator[Browsed]:
        """What the device offers, bounded by the protocol's own means."""
        ...

    async def close(self) -> None:
        """Never raises for a device that is gone already."""
        ...


@runtime_checkable
class Invoker(Connection, Protocol):
    """A connection to something that carries out whole operations (AAS operation delegation)."""

    async def invoke(self, invocation: Invocation, key: str, simulate: bool) -> Invoked:
        """Carry it out, or with `simulate` only say what it would do; returns when it has ended.

        `key` is the command's identity and goes to the device as idempotency key; a simulation and the
        execution after it have the same key and are two different things. The host allows
        `invocation.timeout_seconds` for it, and sends it once. Raises: WriteRejected when it is certain that
        nothing was started; any other DeviceError means that it may have been.
        """
        ...


Secrets = Callable[[str], Secret]
"""Resolves a reference such as `secret:plc1`, `file:/run/secrets/plc1` or `env:PLC1`."""


def nothing_to_mind(settings: Any) -> tuple[str, ...]:
    """The cautions of an adapter whose settings are as safe one way as the other."""
    del settings
    return ()


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """What the registry knows of an adapter.

    `settings` is the frozen struct of `[connection]` (unknown keys refused). `kind_of` reads an address
    and gives the tag's kind (Raises: SettingsError for a malformed one). `build` makes a connection that
    has opened nothing yet (Raises: SettingsError). `cautions`: what of the settings works and is less safe
    than it could be, for `plantops doctor`.
    """

    name: str
    settings: type[msgspec.Struct]
    capabilities: Capabilities
    kind_of: Callable[[str], Kind]
    build: Callable[[SourceDefined, Any, float, Secrets], Connection]
    cautions: Callable[[Any], tuple[str, ...]] = nothing_to_mind
