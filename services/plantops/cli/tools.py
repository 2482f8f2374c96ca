"""`plantops tool`: the tools that agents and HTTP use, for people and scripts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from plantops.cli.output import (
    DEMO_FOLDER,
    Folder,
    Json,
    User,
    did_you_mean,
    err,
    out,
    print_json,
    safe,
    table,
    visible,
)
from plantops.cli.session import Session, run, session
from plantops.events.tooling import CatalogueAsked, CatalogueTold, ToolAsked, ToolListed, ToolTold
from plantops.flow.tool_pages import whole_catalogue
from plantops.runtime.errors import Refused, SettingsError

# Some tools ask devices or read the log, and take longer than other services.
CALL_SECONDS = 30.0
MAX_PAGES = 1000
_NARROW = 40
_WIDE = 120
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)
_FIRST = (
    *("at", "stored_at", "index", "sequence", "handle", "command", "kind", "rule", "verdict", "tool", "tag"),
    *("name", "asset", "operation", "source", "is_up", "value", "last", "unit", "quality_name", "quality"),
    *("risk", "phase", "outcome", "actor", "writer", "type", "text", "description"),
)

app = typer.Typer(
    no_args_is_help=True,
    help="List, search and call the tools that agents and HTTP use.",
    add_completion=False,
)

All = Annotated[bool, typer.Option("--all", help="Also those that you may not use.")]


@app.command(name="list")
def list_(folder: Folder = DEMO_FOLDER, user: User = "", json: Json = False, every: All = False) -> None:
    """List the tools: what reads, and the operations that can be asked of the gate."""
    told = run(_catalogue(folder, user, CatalogueAsked(all=every), quiet=json))
    _print_tools(told, json=json)


@app.command()
def search(  # noqa: PLR0917 - typer reads the options from the signature
    words: Annotated[list[str], typer.Argument(help="What you want, in words.")],
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: Json = False,
    every: All = False,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many, the best first.")] = 12,
) -> None:
    """Find tools for a task; what goes in the safe direction is always among them."""
    asked = CatalogueAsked(query=" ".join(words), limit=limit, all=every)
    _print_tools(run(_found(folder, user, asked, quiet=json)), json=json)


@app.command()
def show(
    tool: Annotated[str, typer.Argument(help="The name of a tool, as the list has it.")],
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: Json = False,
) -> None:
    """Show what one tool takes and what it is for."""
    told = run(_catalogue(folder, user, CatalogueAsked(all=True), quiet=json))
    found = _named(told.tools, tool)
    if json:
        print_json(found)
        return
    out.print(f"[bold]{safe(found.name)}[/] ({_kind(found)}, risk {found.risk})", soft_wrap=True)
    out.print(safe(found.description), soft_wrap=True)
    required = found.arguments.get("required", [])
    rows = [
        (name, _type(schema), "yes" if name in required else "no", safe(schema.get("description", "")))
        for name, schema in found.arguments.get("properties", {}).items()
    ]
    table("arguments", ("name", "type", "required", "meaning"), rows)


@app.command()
def call(  # noqa: PLR0917 - typer reads the options from the signature
    tool: Annotated[str, typer.Argument(help="The name of a tool that reads.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="key=value; lists and objects as JSON, such as tags='[\"plc1.pump.speed\"]'."),
    ] = None,
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: Json = False,
    pages: Annotated[int, typer.Option(min=1, max=MAX_PAGES, help="At most so many pages.")] = 1,
    cursor: Annotated[str, typer.Option(help="Go on where an answer before ended.")] = "",
) -> None:
    """Call a tool that reads. Operations are asked of the gate with `plantops command`."""
    told = run(_called(folder, user, tool, arguments or [], cursor=cursor, pages=pages, quiet=json))
    if json:
        print_json(told[0] if len(told) == 1 else told)
    else:
        for one in told:
            _print_result(one)
    if told[-1].next:
        err.print(f"there is more: --cursor {told[-1].next} goes on", soft_wrap=True, markup=False)


async def _catalogue(folder: Path, user: str, asked: CatalogueAsked, *, quiet: bool) -> CatalogueTold:
    async with session(folder, user, quiet=quiet) as here:
        return await _listed(here, asked)


async def _found(folder: Path, user: str, asked: CatalogueAsked, *, quiet: bool) -> CatalogueTold:
    async with session(folder, user, quiet=quiet) as here:
        return await here.ask_door("tool", "search", asked, CatalogueTold, seconds=CALL_SECONDS)


async def _listed(here: Session, asked: CatalogueAsked, *, until: str = "") -> CatalogueTold:
    async def page(of: CatalogueAsked) -> CatalogueTold:
        return await here.ask_door("tool", "list", of, CatalogueTold, seconds=CALL_SECONDS)

    return await whole_catalogue(page, asked, until=until)


async def _tell(here: Session, asked: ToolAsked) -> ToolTold:
    return await here.ask_door("tool", "call", asked, ToolTold, seconds=CALL_SECONDS)


async def _called(
    folder: Path, user: str, tool: str, words: Sequence[str], *, cursor: str, pages: int, quiet: bool
) -> list[ToolTold]:
    async with session(folder, user, quiet=quiet) as here:
        catalogue = await _listed(here, CatalogueAsked(all=True), until=tool)
        found = _named(catalogue.tools, tool)
        if found.kind == "operation":
            raise Refused(
                f"{tool} writes: ask the gate with `plantops command {found.asset} {found.operation}`",
                reason="send_intent",
            )
        asked = ToolAsked(tool=tool, arguments=_arguments(found, words), cursor=cursor)
        told: list[ToolTold] = [await _tell(here, asked)]
        while told[-1].next and len(told) < pages:
            asked = msgspec.structs.replace(asked, cursor=told[-1].next)
            told.append(await _tell(here, asked))
        return told


def _named(tools: Sequence[ToolListed], name: str) -> ToolListed:
    """Raises: SettingsError with what is near."""
    for tool in tools:
        if tool.name == name:
            return tool
    near = did_you_mean(name, [tool.name for tool in tools])
    raise SettingsError(f"there is no tool {name!r}{near}: see `plantops tool list --all`", setting="tool")


def _arguments(tool: ToolListed, words: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as the schema of the tool types them. Raises: SettingsError."""
    properties: Mapping[str, Any] = tool.arguments.get("properties", {})
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name not in properties:
            takes = ", ".join(properties) or "nothing"
            raise SettingsError(
                f"{word!r}: write arguments as key=value; {tool.name} takes {takes}"
                f"{did_you_mean(name, properties)}",
                setting="arguments",
            )
        if name in found:
            raise SettingsError(f"argument {name!r} stands twice", setting=name)
        found[name] = _value(name, text, properties[name])
    return found


def _value(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    """A text where the tool takes texts, a list with commas; anything else is JSON."""
    types = _types(schema)
    if types <= {"string"}:
        return text
    if "array" in types and not text.startswith("["):
        return [part for part in text.split(",") if part]
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if "string" in types:
            return text
        raise SettingsError(f"{name}={text!r} is no {_type(schema)}", setting=name) from error


def _types(schema: Mapping[str, Any]) -> set[str]:
    if "anyOf" in schema:
        return {kind for one in schema["anyOf"] for kind in _types(one)}
    if "enum" in schema and "type" not in schema:
        return {"string"} if all(isinstance(one, str) for one in schema["enum"]) else {"any"}
    kind = schema.get("type", "any")
    return {kind} if isinstance(kind, str) else set(kind)


def _type(schema: Mapping[str, Any]) -> str:
    """A type for people, with what it may be."""
    if "enum" in schema:
        return " | ".join(str(one) or "(empty)" for one in schema["enum"])
    words = " or ".join(sorted(_types(schema)))
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        words += f" {'' if low is None else low}..{'' if high is None else high}"
    return words


def _kind(tool: ToolListed) -> str:
    if tool.kind == "read":
        return "reads"
    return "safe direction" if tool.safe_direction else "operation"


def _print_tools(told: CatalogueTold, *, json: bool) -> None:
    if json:
        print_json(told)
        return
    rows = [
        (safe(tool.name), _kind(tool), tool.risk, safe(_sentence(tool.description))) for tool in told.tools
    ]
    table(f"{len(rows)} tools", ("tool", "kind", "risk", "for"), rows)


def _sentence(text: str) -> str:
    return text.split(". ", 1)[0].removesuffix(".")


def _print_result(told: ToolTold) -> None:
    """A table for each list of things in the result, and lines for what is one."""
    result = told.result if isinstance(told.result, dict) else {"result": told.result}
    for name, value in result.items():
        if not isinstance(value, list):
            for line in _lines(name, value):
                out.print(Text(line), soft_wrap=True)
    for name, value in result.items():
        if _is_rows(value):
            columns = [key for key in _ordered(value[0]) if any(_cell(row.get(key)) for row in value)]
            table(name, columns, ([Text(_cell(row.get(key))) for key in columns] for row in value))
        elif isinstance(value, list):
            out.print(Text(f"{name}: {_cell(value) or 'none'}"), soft_wrap=True)


def _ordered(names: Iterable[str]) -> list[str]:
    """JSON has no order: what a thing is called comes first, then what it is, then the rest."""
    known = {name: place for place, name in enumerate(_FIRST)}
    return sorted(names, key=lambda name: (known.get(name, len(known)), name))


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _lines(name: str, value: Any) -> Iterator[str]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _lines(f"{name}.{key}", inner)
        case None | "" | []:
            return
        case str() if "\n" in value:
            yield f"{name}:"
            yield from visible(value).splitlines()
        case _:
            yield f"{name}: {_cell(value)}"


def _cell(value: Any) -> str:
    """Short, on one line; the whole is in --json."""
    match value:
        case None | "":
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case str():
            return _text(value)
        case list() if all(isinstance(one, str) for one in value):
            return ", ".join(_cell(one) for one in value)
        case list():
            return f"{len(value)} of them" if value else ""
        case dict():
            return _text(msgspec.json.encode(value).decode(), _NARROW)
        case _:
            return str(value)


def _text(value: str, most: int = _WIDE) -> str:
    if _TIME.fullmatch(value):
        return value[:23].replace("T", " ").rstrip("Z")
    text = " ".join(visible(value).split())
    return text if len(text) <= most else f"{text[:most]}…"
