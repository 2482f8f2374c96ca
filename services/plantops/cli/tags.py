"""`plantops tags` and `plantops read`: what the twin knows, and what the device says now."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from plantops.cli.output import (
    DEMO_FOLDER,
    Folder,
    Json,
    User,
    did_you_mean,
    drawn,
    out,
    print_json,
    print_json_line,
    quality_text,
    safe,
    seconds,
    shown,
    table,
    visible,
)
from plantops.cli.session import Session, run, session
from plantops.events.base import TagName
from plantops.events.command_parts import Observation
from plantops.events.queries import DeviceReadAsked, TagsAsked, TagState, TagsTold
from plantops.runtime.errors import Refused, SettingsError

WATCH_SECONDS = 5.0
PAGE = 500

COLUMNS = ("tag", "value", "unit", "quality", "age", "source")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="tags")(tags)
    app.command(name="read")(read)


def tags(
    prefix: Annotated[str, typer.Argument(help="Only tags whose name starts so.")] = "",
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow changes until Ctrl-C.")] = False,
) -> None:
    """List tags with value, quality and age, as the twin knows them."""
    run(_tags(folder, user, prefix, json=json, watch=watch))


async def _tags(folder: Path, user: str, prefix: str, *, json: bool, watch: bool) -> None:
    async with session(folder, user, quiet=json) as here:
        if watch:
            await (
                _watch(here, prefix)
                if out.is_terminal and not json
                else _watch_lines(here, prefix, json=json)
            )
            return
        told = await all_tags(here, prefix)
        if prefix and not told.tags:
            there = [tag.tag for tag in (await all_tags(here, "")).tags]
            raise SettingsError(
                f"no tag begins with {prefix!r}{did_you_mean(prefix, there)}: see `plantops tags`"
            )
    if json:
        print_json(told)
        return
    table(f"{told.total} tags", COLUMNS, (_row(tag) for tag in told.tags))


async def all_tags(here: Session, prefix: str) -> TagsTold:
    """Every page of the twin's answer as one."""
    told = await here.ask("twin", "get", TagsAsked(prefix=prefix, limit=PAGE), TagsTold)
    found = list(told.tags)
    while len(found) < told.total:
        page = await here.ask(
            "twin", "get", TagsAsked(prefix=prefix, limit=PAGE, offset=len(found)), TagsTold
        )
        if not page.tags:
            break
        found += page.tags
    return TagsTold(tags=tuple(found), revision=told.revision, total=told.total)


def _row(tag: TagState) -> tuple[str, ...]:
    quality = quality_text(tag.quality)
    return (
        tag.tag,
        safe(shown(tag.value)),
        tag.unit,
        f"[{quality.style}]{quality.plain}[/]",
        seconds(tag.age_seconds),
        tag.source,
    )


async def _watch(here: Session, prefix: str) -> None:
    with Live(console=out, refresh_per_second=4, screen=False) as live:
        revision = 0
        while True:
            told = await all_tags(here, prefix)
            live.update(drawn(f"{told.total} tags, Ctrl-C ends", COLUMNS, map(_row, told.tags)))
            question = TagsAsked(prefix=prefix, after=max(revision, told.revision), wait_seconds=1.0, limit=1)
            revision = (await here.ask("twin", "watch", question, TagsTold)).revision


async def _watch_lines(here: Session, prefix: str, *, json: bool) -> None:
    """Each change on a line of its own."""
    revision = 0
    while True:
        question = TagsAsked(prefix=prefix, after=revision, wait_seconds=WATCH_SECONDS / 2, limit=PAGE)
        told = await here.ask("twin", "watch", question, TagsTold)
        for tag in told.tags:
            if json:
                print_json_line(tag)
            else:
                quality = quality_text(tag.quality).plain
                sys.stdout.write(f"{tag.tag}  {visible(shown(tag.value))}  {tag.unit or '-'}  {quality}\n")
        sys.stdout.flush()
        revision = told.revision


def read(
    names: Annotated[list[str], typer.Argument(help="Tags of one source.")],
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: Json = False,
) -> None:
    """Read tags from their device now, past twin and history."""
    run(_read(folder, user, names, json=json))


async def _read(folder: Path, user: str, names: list[str], *, json: bool) -> None:
    async with session(folder, user, quiet=json) as here:
        told: list[Observation] = []
        for source, wanted in _by_source(here, names).items():
            question = DeviceReadAsked(tags=tuple(wanted))
            told.append(await here.ask("read", source, question, Observation))
    if json:
        print_json(told)
        return
    rows = ((s.tag, safe(shown(s.value)), quality_text(s.quality)) for answer in told for s in answer.inputs)
    table("", ("tag", "value", "quality"), rows)
    if any(sample.value is None for answer in told for sample in answer.inputs):
        raise Refused("a tag has no value at the device", reason="bad_quality")


def _by_source(here: Session, names: list[str]) -> dict[str, list[TagName]]:
    result: dict[str, list[TagName]] = {}
    for name in names:
        source = here.plant.sources.get(TagName(name))
        if source is None:
            near = did_you_mean(name, here.plant.tags)
            raise SettingsError(f"no tag {name!r}{near} in this site: see `plantops tags`", setting="tag")
        result.setdefault(source, []).append(TagName(name))
    return result
