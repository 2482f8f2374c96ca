"""What happened, as it stands in the log: steps of commands, states of sources, alarms and findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, Literal

from msgspec import Meta

from plantops.events.base import Record, is_token
from plantops.events.provenance import Channel, Provenance
from plantops.flow.bus import Stored
from plantops.tools.contract import Arguments, Call, Page, Tool, ToolError
from plantops.tools.reading.cursors import number_of
from plantops.tools.reading.stored import EventRead, any_of_them, newest, read_stored

MAX_NUMBER: Final = 2**53
_SCANNED: Final = 5_000
_PAGE: Final = 500

# The types of a stream begin so, and the token of its subjects that is the rest of the type.
_FORMS: Final = {"COMMANDS": ("command.", 2), "SOURCES": ("source.", 3)}


class EventsRead(Arguments, frozen=True):
    """Which events."""

    stream: Annotated[
        Literal["COMMANDS", "SOURCES"],
        Meta(description="COMMANDS: the lives of commands. SOURCES: sources that came, went, or lost data."),
    ] = "COMMANDS"
    after: Annotated[
        int | None,
        Meta(description="Only what stands behind this sequence, the oldest first; null: the newest first."),
    ] = None
    types: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...],
        Meta(max_length=32, description="Only events of these types, such as command.denied; none: all."),
    ] = ()
    command: Annotated[
        str, Meta(max_length=64, description="Only of this command, by its identity; COMMANDS alone.")
    ] = ""


class EventsGiven(Record, frozen=True):
    """`first` and `last` bound what the stream keeps, `looked_to` is how far this page looked.

    Who asks by `after` goes on behind `looked_to` once the answer has no `next`, and has missed nothing;
    `missed` counts the sequences behind `after` that are not kept any more.
    """

    events: tuple[EventRead, ...]
    first: int
    last: int
    looked_to: int
    missed: int = 0


async def events_read(call: Call, asked: EventsRead) -> Page[EventsGiven]:
    """A page of events, forward from a place in the stream, or backward from its end."""
    subject, wanted = _filter(call, asked)
    if asked.after is None:
        return await _backward(call, asked, subject, wanted)
    if not 0 <= asked.after < MAX_NUMBER:
        raise ToolError("bad_arguments", f"after {asked.after}: give the sequence of an event, or 0")
    return await _forward(call, asked, subject, wanted)


async def _forward(
    call: Call, asked: EventsRead, subject: str, wanted: Callable[[Stored], bool]
) -> Page[EventsGiven]:
    assert asked.after is not None
    after = number_of(call.cursor, asked.after)
    # Asked before the messages: all up to its end is looked at when no more of them come.
    state = await call.bus.state(asked.stream)
    found: list[Stored] = []
    place, is_at_end, scanned = after, False, 0
    while not is_at_end and len(found) < call.rows and scanned < _SCANNED:
        page = await call.bus.history(asked.stream, subject, place + 1, _PAGE)
        scanned += _PAGE
        for stored in page:
            place = stored.sequence
            if wanted(stored):
                found.append(stored)
                if len(found) == call.rows:
                    break
        else:
            is_at_end = len(page) < _PAGE
    looked_to = max(place, state.last) if is_at_end else place
    return Page(
        EventsGiven(
            events=tuple(read_stored(stored, call.in_force) for stored in found),
            first=state.first,
            last=state.last,
            looked_to=looked_to,
            missed=max(0, min(state.first, state.last + 1) - 1 - after),
        ),
        provenance=tuple(map(_place, found)),
        next="" if is_at_end else str(place),
    )


async def _backward(
    call: Call, asked: EventsRead, subject: str, wanted: Callable[[Stored], bool]
) -> Page[EventsGiven]:
    before = number_of(call.cursor)
    state = await call.bus.state(asked.stream)
    found, lowest = await newest(
        call.bus, asked.stream, subject, before=before, limit=call.rows, wanted=wanted
    )
    return Page(
        EventsGiven(
            events=tuple(read_stored(stored, call.in_force) for stored in found),
            first=state.first,
            last=state.last,
            looked_to=lowest,
        ),
        provenance=tuple(map(_place, found)),
        next=str(lowest) if lowest else "",
    )


def _filter(call: Call, asked: EventsRead) -> tuple[str, Callable[[Stored], bool]]:
    """The subject that the broker filters by, and what is left to look at. Raises: ToolError."""
    begins, token = _FORMS[asked.stream]
    for kind in asked.types:
        if not kind.startswith(begins) or not is_token(kind.removeprefix(begins)):
            raise ToolError("bad_arguments", f"{asked.stream} holds no events of type {kind!r}")
    if asked.command and (asked.stream != "COMMANDS" or not is_token(asked.command)):
        raise ToolError("bad_arguments", f"{asked.stream} holds nothing of a command {asked.command!r}")
    kinds = frozenset(kind.removeprefix(begins) for kind in asked.types)
    only = next(iter(kinds)) if len(kinds) == 1 else "*"
    if asked.stream == "COMMANDS":
        subject = f"cmd.{call.site}.{only}.*.{asked.command or '*'}"
    else:
        subject = f"source.{call.site}.*.{only}"
    return subject, lambda stored: not kinds or stored.subject.split(".")[token] in kinds


def _place(stored: Stored) -> Provenance:
    """Subjects end with the command, or name the source in their third token."""
    parts = stored.subject.split(".")
    if stored.stream == "COMMANDS":
        return Provenance(channel="command", name=parts[-1], stream=stored.stream, sequence=stored.sequence)
    channel = _CHANNELS.get(stored.stream, "source")
    return Provenance(channel=channel, name=parts[2], stream=stored.stream, sequence=stored.sequence)


_CHANNELS: Final[dict[str, Channel]] = {"ALARMS": "alarm", "FINDINGS": "finding"}


class AlarmList(Arguments, frozen=True):
    """Which alarms."""

    source: Annotated[str, Meta(max_length=64, description="Of one source; empty: of all.")] = ""


class FindingList(Arguments, frozen=True):
    """Which findings."""

    analyser: Annotated[str, Meta(max_length=64, description="Of one analyser; empty: of all.")] = ""


class NewestGiven(Record, frozen=True):
    """The newest first."""

    events: tuple[EventRead, ...]


async def alarm_list(call: Call, asked: AlarmList) -> Page[NewestGiven]:
    """The newest events of ALARMS."""
    return await _newest(call, "ALARMS", f"alarm.{call.site}.{_token(asked.source)}.*")


async def finding_list(call: Call, asked: FindingList) -> Page[NewestGiven]:
    """The newest events of FINDINGS."""
    return await _newest(call, "FINDINGS", f"finding.{call.site}.{_token(asked.analyser)}")


async def _newest(call: Call, stream: str, subject: str) -> Page[NewestGiven]:
    before = number_of(call.cursor)
    found, lowest = await newest(
        call.bus, stream, subject, before=before, limit=call.rows, wanted=any_of_them
    )
    return Page(
        NewestGiven(events=tuple(read_stored(stored, call.in_force) for stored in found)),
        provenance=tuple(map(_place, found)),
        next=str(lowest) if lowest else "",
    )


def _token(name: str) -> str:
    if name and not is_token(name):
        raise ToolError("bad_arguments", f"{name!r} is no name: use letters, digits, '-' and '_' only")
    return name or "*"


EVENTS_READ: Final = Tool(
    name="events-read",
    description=(
        "Events of commands or of sources as they stand in the log: the newest, or all behind a sequence, of "
        "some types or of one command."
    ),
    risk="low",
    arguments=EventsRead,
    result=EventsGiven,
    work=events_read,
    items="events",
)

ALARM_LIST: Final = Tool(
    name="alarm-list",
    description="The newest alarm events, of one source where asked.",
    risk="low",
    arguments=AlarmList,
    result=NewestGiven,
    work=alarm_list,
    items="events",
)

FINDING_LIST: Final = Tool(
    name="finding-list",
    description="What the diagnostics found lately, of one analyser where asked.",
    risk="low",
    arguments=FindingList,
    result=NewestGiven,
    work=finding_list,
    items="events",
)
