"""Straight from a device, past twin and history: what tags hold now, and what the device offers at all."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

from plantops.events.base import Record, Scalar, SourceName, TagName
from plantops.events.command_parts import Observation, ObservedInput
from plantops.events.provenance import Provenance
from plantops.events.quality import Quality, quality_name
from plantops.events.queries import BrowseAsked, BrowseTold, DeviceReadAsked, Found
from plantops.events.subjects import service
from plantops.tools.contract import Arguments, Call, Page, Tool, ToolError
from plantops.tools.reading.cursors import number_of

MAX_READ: Final = 100
MAX_BROWSED: Final = 1000
_SECONDS: Final = 10.0


class DeviceRead(Arguments, frozen=True):
    """Which tags."""

    tags: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...],
        Meta(min_length=1, max_length=MAX_READ, description="Exact names of tags, of any sources."),
    ]


class Reading(Record, frozen=True):
    """What stands in the device. Without a value, `problem` says why."""

    tag: TagName
    value: Scalar | None
    unit: str
    quality: int
    quality_name: str
    source: SourceName
    problem: str = ""
    source_time: datetime | None = None


class ReadingsGiven(Record, frozen=True):
    """In the order asked; `at` is when the last device had answered, by its host's clock."""

    readings: tuple[Reading, ...]
    at: datetime


async def device_read(call: Call, asked: DeviceRead) -> Page[ReadingsGiven]:
    """Each source is asked once; one that does not answer spoils its own tags only.

    Raises: ToolError when a tag has no source, or no source answers at all.
    """
    wanted = [TagName(name) for name in dict.fromkeys(asked.tags)]
    if unknown := [name for name in wanted if name not in call.plant.sources]:
        raise ToolError("not_found", f"no source has the tag {unknown[0]!r}: see twin-find")
    sources = sorted({call.plant.sources[name] for name in wanted})
    answers = await asyncio.gather(
        *(_read(call, source, [n for n in wanted if call.plant.sources[n] == source]) for source in sources)
    )
    problems = [answer for answer in answers if isinstance(answer, ToolError)]
    if len(problems) == len(answers):
        raise problems[0]
    observations = [answer for answer in answers if isinstance(answer, Observation)]
    seen = {one.tag: one for observation in observations for one in observation.inputs}
    spoilt = dict(zip(sources, answers, strict=True))
    readings = tuple(
        _reading(call, name, seen.get(name), spoilt[call.plant.sources[name]]) for name in wanted
    )
    return Page(
        ReadingsGiven(readings=readings, at=max(each.at for each in observations)),
        provenance=tuple(_of_devices(readings)),
    )


async def _read(call: Call, source: SourceName, tags: list[TagName]) -> Observation | ToolError:
    question = DeviceReadAsked(tags=tuple(tags))
    try:
        return await call.ask(service("read", call.site, source), question, Observation)
    except ToolError as error:
        return error


def _reading(
    call: Call, tag: TagName, seen: ObservedInput | None, answer: Observation | ToolError
) -> Reading:
    unit, source = call.plant.tags[tag].unit, call.plant.sources[tag]
    if seen is None:
        problem = answer.message if isinstance(answer, ToolError) else "the device said nothing of it"
        bad = int(Quality.BAD_COMMUNICATION)
        return Reading(
            tag=tag,
            value=None,
            unit=unit,
            quality=bad,
            quality_name=quality_name(bad),
            source=source,
            problem=problem,
        )
    value, quality, problem = seen.value, seen.quality, seen.note
    if isinstance(value, float) and not math.isfinite(value):
        value, quality, problem = None, int(Quality.BAD_SENSOR_FAILURE), "the device gave no finite number"
    return Reading(
        tag=tag,
        value=value,
        unit=unit,
        quality=quality,
        quality_name=quality_name(quality),
        source=source,
        problem=problem or ("" if value is not None else quality_name(quality)),
        source_time=seen.source_time,
    )


def _of_devices(readings: Iterable[Reading]) -> Iterable[Provenance]:
    return (Provenance(channel="device", name=one.tag, quality=one.quality) for one in readings)


class DeviceBrowse(Arguments, frozen=True):
    """Which device."""

    source: Annotated[
        str, Meta(min_length=1, max_length=64, description="The source whose device is asked, such as opc1.")
    ]


class DeviceBrowsed(Record, frozen=True):
    """`is_complete`: the device has nothing behind this page. At most its first 1,000 things are told."""

    source: SourceName
    found: tuple[Found, ...]
    is_complete: bool


async def device_browse(call: Call, asked: DeviceBrowse) -> Page[DeviceBrowsed]:
    """A page of what a device offers; each page asks the device anew, from its beginning."""
    source = SourceName(asked.source)
    if source not in {definition.source for definition in call.plant.definitions}:
        raise ToolError("not_found", f"there is no source {asked.source!r}: see source-health")
    start = number_of(call.cursor)
    end = min(start + call.rows, MAX_BROWSED)
    told = await call.ask(service("browse", call.site, source), BrowseAsked(limit=end), BrowseTold)
    found = told.found[start:end]
    return Page(
        DeviceBrowsed(source=source, found=found, is_complete=told.is_complete),
        provenance=(Provenance(channel="device", name=source),),
        next="" if told.is_complete or end >= MAX_BROWSED or not found else str(end),
    )


DEVICE_READ: Final = Tool(
    name="device-read",
    description=(
        "Read tags from their devices now, past the twin: slower, and a load on the device. Ask twin-get "
        "first."
    ),
    risk="medium",
    arguments=DeviceRead,
    result=ReadingsGiven,
    work=device_read,
    items="readings",
    timeout_seconds=_SECONDS,
)

DEVICE_BROWSE: Final = Tool(
    name="device-browse",
    description="What a device offers, beside the tags that are read from it: addresses, names and kinds.",
    risk="medium",
    arguments=DeviceBrowse,
    result=DeviceBrowsed,
    work=device_browse,
    items="found",
    timeout_seconds=_SECONDS,
)
