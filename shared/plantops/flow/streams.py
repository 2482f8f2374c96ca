"""Every stream that PlantOps keeps, as data, and how a found one differs from it.

No stream lets a message be deleted, purged, rolled up, scheduled or given a life of its own, and none is
read from a follower: what was acknowledged stays until the stream's age or size takes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias

from plantops.flow.declaration import Account, snapshot_stream, snapshot_subject

Discard: TypeAlias = Literal["new", "old"]
Json: TypeAlias = Any

DUPLICATE_WINDOW: Final = timedelta(minutes=2)
# The broker's limit for headers and data together. Only a definition of many tags comes near it.
MAX_PAYLOAD: Final = 8 * 1024 * 1024
_LARGE: Final = 1024 * 1024
_FRAME: Final = 288 * 1024  # a tag frame is at most 256 KiB; the rest is for headers
_CONTROL: Final = 256 * 1024
_YEAR: Final = timedelta(days=365)
_QUARTER: Final = timedelta(days=90)

TOLD_PREFIX: Final = "told."
"""Where COMMANDS repeats what it has stored; what CLIENTS hears comes from there, never from a publish."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How much of the tag history is kept, and on how many servers each stream lies."""

    tags_max_age: timedelta = timedelta(days=30)
    tags_max_bytes: int = 8 * 1024**3
    replicas: int = 1


DEFAULTS: Final = StreamSettings()


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream as wanted. `max_age` and `max_bytes` None: no such bound; both: it is kept for ever.

    `discard` "new" refuses a message when a bound is reached, "old" drops the oldest for it.
    `keeps_last`: only the last message per subject stays. `republish`: source and destination patterns.
    """

    name: str
    subjects: tuple[str, ...]
    account: Account = "PLANT"
    max_age: timedelta | None = None
    max_bytes: int | None = None
    discard: Discard = "old"
    keeps_last: bool = False
    atomic: bool = True
    max_message_bytes: int = _CONTROL
    republish: tuple[str, str] | None = None
    replicas: int = 1

    @property
    def is_forever(self) -> bool:
        """Whether nothing in it may ever be lost to age or size."""
        return self.max_age is None and self.max_bytes is None

    def config(self) -> dict[str, Json]:
        """The configuration as the JetStream API takes it."""
        config: dict[str, Json] = {
            "name": self.name,
            "subjects": list(self.subjects),
            "retention": "limits",
            "storage": "file",
            "max_age": _nanoseconds(self.max_age),
            "max_bytes": -1 if self.max_bytes is None else self.max_bytes,
            "max_msgs_per_subject": 1 if self.keeps_last else -1,
            "max_msg_size": self.max_message_bytes,
            "discard": self.discard,
            "num_replicas": self.replicas,
            "duplicate_window": _nanoseconds(DUPLICATE_WINDOW),
            "allow_direct": False,
            "deny_delete": True,
            "deny_purge": True,
            "allow_rollup_hdrs": False,
            "allow_msg_ttl": False,
            "allow_atomic": self.atomic,
        }
        if self.republish:
            config["republish"] = {"src": self.republish[0], "dest": self.republish[1]}
        return config


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that is not as wanted. `is_safe`: applying the wanted one loses and opens nothing."""

    field: str
    wanted: Json
    found: Json
    is_safe: bool = False

    def __str__(self) -> str:
        return f"{self.field}: wanted {self.wanted!r}, found {self.found!r}"


def streams(settings: StreamSettings = DEFAULTS) -> tuple[StreamSpec, ...]:
    """All streams but the snapshots, in the order in which they are made."""

    def plant(name: str, *subjects: str, **more: Json) -> StreamSpec:
        return StreamSpec(name, subjects, replicas=settings.replicas, **more)

    two_years = {"max_age": 2 * _YEAR, "discard": "new"}
    forever = {"discard": "new"}
    return (
        plant(
            "TAGS",
            "tag.*.*",
            max_age=settings.tags_max_age,
            max_bytes=settings.tags_max_bytes,
            max_message_bytes=_FRAME,
        ),
        plant("SOURCES", "source.*.*.*", max_age=_QUARTER),
        plant("DEFINITIONS", "definition.*.*.*", keeps_last=True, max_message_bytes=MAX_PAYLOAD, **forever),
        plant("INTENTS", "intent.*.*.*.*", **two_years),
        plant("COMMANDS", "cmd.*.*.*.*", republish=("cmd.>", f"{TOLD_PREFIX}cmd.>"), **two_years),
        plant("APPROVALS", "approval.*.*.*", **two_years),
        plant("POLICY", "policy.*", atomic=False, max_message_bytes=_LARGE, **forever),
        plant("ALARMS", "alarm.*.*.*", max_age=2 * _YEAR),
        plant("FINDINGS", "finding.*.*", max_age=_YEAR),
        plant("AGENT", "agent.*.*.*", max_age=_YEAR),
        # As long as COMMANDS: the gate's history replays with the timers that it acted on.
        plant("TIMERS", "timer.*.*", max_age=2 * _YEAR),
        # Fed by whatever strangers and broken processes write; nothing is decided by it.
        plant("DEAD", "dead.*", max_age=_QUARTER, max_bytes=1024**3),
        plant("AUDIT", "audit.*.*", account="AUDIT", **forever),
        plant("CHECKPOINTS", "checkpoint.*", account="AUDIT", **forever),
        # A later cosignature covers what an earlier one did.
        plant("COSIGNATURES", "cosignature.*.*", "dispute.*.*", account="AUDIT", keeps_last=True, **forever),
    )


def snapshots(process: str, account: Account = "PLANT", *, replicas: int = 1) -> StreamSpec:
    """The stream behind a process's snapshot bucket."""
    return StreamSpec(
        snapshot_stream(process),
        (snapshot_subject(process, ">"),),
        account=account,
        keeps_last=True,
        discard="new",
        max_message_bytes=_LARGE,
        replicas=replicas,
    )


# What the server answers for a setting that nobody made; anything else in an unknown field is a difference.
_UNSET: Final[Mapping[str, Sequence[Json]]] = {
    "max_consumers": (-1, 0),
    "max_msgs": (-1, 0),
    "compression": ("none",),
    "persist_mode": ("default",),
}
_BOUNDS: Final = ("max_age", "max_bytes", "max_msg_size")


def differences(spec: StreamSpec, actual: Mapping[str, Json]) -> list[Difference]:
    """What differs between `spec` and the `config` in the server's stream information, in a fixed order.

    Every setting counts, also those that this program does not know: an unknown one that is set is a
    difference. Only a larger bound of a stream that is bounded anyway is safe to apply.
    """
    wanted = spec.config()
    found = []
    for field in sorted(wanted.keys() | actual.keys()):
        have, want = actual.get(field), wanted.get(field)
        if field == "metadata":  # says who made it, decides nothing
            continue
        if field not in wanted:
            if have and have not in _UNSET.get(field, ()):
                found.append(Difference(field, None, have))
        elif not _same(field, want, have):
            found.append(Difference(field, want, have, _is_safe(spec, field, want, have)))
    return found


def _same(field: str, want: Json, have: Json) -> bool:
    if field == "subjects":
        want, have = sorted(want), sorted(have or ())
    if field == "republish":
        # The server may spell out that whole messages are repeated.
        have = {key: value for key, value in (have or {}).items() if value}
    if isinstance(want, bool):
        have = bool(have)  # an unset switch may be left out
    equal: bool = want == have
    return equal and isinstance(have, type(want))


def _is_safe(spec: StreamSpec, field: str, want: Json, have: Json) -> bool:
    if field not in _BOUNDS or not isinstance(have, int):
        return False
    if spec.is_forever and field != "max_msg_size":
        return False
    return have > 0 and (want <= 0 or want > have)


def _nanoseconds(span: timedelta | None) -> int:
    return 0 if span is None else span // timedelta(microseconds=1) * 1000
