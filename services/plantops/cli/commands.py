"""`plantops command`: ask for an operation and follow it to its end."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from plantops.cli.following import Follower, Told, describe
from plantops.cli.output import (
    DEMO_FOLDER,
    Folder,
    Json,
    JsonLines,
    User,
    Voice,
    did_you_mean,
    print_json,
    print_json_line,
    safe,
    some,
    table,
    working,
)
from plantops.cli.session import Session, run, session
from plantops.events.base import Scalar
from plantops.events.command_parts import Intent, Mode
from plantops.events.queries import CommandAsked, CommandsAsked, CommandsListed, CommandStatus, IntentTaken
from plantops.model.load import Plant
from plantops.policy.acts import ACTS, PREFIX
from plantops.runtime.errors import Refused, SettingsError

ON_COMMANDS = ("cancel", "undo", "reconcile")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="command")(command)
    app.command(name="commands")(commands)


def command(  # noqa: PLR0917 - typer reads the options from the signature
    asset: Annotated[
        str, typer.Argument(help="For example pump-001; or cancel, undo, reconcile, with a command.")
    ],
    operation: Annotated[str, typer.Argument(help="For example SetSpeed; or a command, such as c12.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="key=value, as the model names them.")] = None,
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: JsonLines = False,
    simulate: Annotated[bool, typer.Option("--simulate", help="Only simulate; write nothing.")] = False,
    confirm: Annotated[
        str, typer.Option("--confirm", help="Confirm this simulation (c12 or its identity).")
    ] = "",
    key: Annotated[str, typer.Option(help="Idempotency key; the same key asks for nothing twice.")] = "",
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    wait: Annotated[float, typer.Option(help="Seconds to follow it.")] = 60.0,
) -> None:
    """Ask for an operation, signed, and follow each step."""
    words = parse_arguments(arguments or [])
    wish = Wish(asset, operation, words, "simulate" if simulate else "execute", confirm, key, reason)
    locate = None
    if asset in ON_COMMANDS:
        wish = replace(wish, operation=f"{PREFIX}{asset}", arguments={"command": operation, **words})
        locate = _on_its_asset
    run(ask_for(folder, user, wish, wait, json=json, locate=locate))


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed."""

    asset: str
    operation: str
    arguments: dict[str, Scalar]
    mode: Mode
    confirms: str
    key: str
    reason: str


Locate = Callable[["Session", Wish], Awaitable[Wish]]
"""Finds the asset of what was typed without one."""


async def _on_its_asset(here: Session, wish: Wish) -> Wish:
    """An act on a command is asked on the asset of that command."""
    question = CommandAsked(command=str(wish.arguments["command"]))
    status = await here.ask("command", "get", question, CommandStatus)
    return replace(wish, asset=status.asset, arguments={**wish.arguments, "command": status.command})


async def ask_for(
    folder: Path, user: str, wish: Wish, wait: float, *, json: bool, locate: Locate | None = None
) -> None:
    """Ask for it and follow it to its end. Raises: Refused when it ends badly."""
    async with session(folder, user, quiet=json) as here:
        if locate is not None:
            wish = await locate(here, wish)
        check_known(here.plant, wish)
        confirms = None
        if wish.confirms:
            question = CommandAsked(command=wish.confirms)
            confirms = await here.ask("command", "get", question, CommandStatus)
        intent = here.intent(
            wish.asset,
            wish.operation,
            wish.arguments,
            mode=wish.mode,
            confirms=confirms,
            key=wish.key,
            reason=wish.reason,
        )
        status = await ask_and_follow(here, intent, wait, Voice(json=json))
    if json:
        print_json_line(status)
    if ended_badly(status):
        raise Refused(f"{status.handle} {describe(status)}", reason=status.phase)


async def ask_and_follow(here: Session, intent: Intent, wait: float, voice: Voice) -> CommandStatus:
    """Send an intent and tell each step of its command as it is stored. Raises: Refused at the door."""

    def tell(step: Told) -> None:
        if voice.json:
            print_json_line({"at": step.at, "event": step.kind, "text": Text.from_markup(step.text).plain})
        else:
            voice.say(f"  [dim]{step.at:%H:%M:%S.%f}[/] [bold]{step.kind}[/] {step.text}".rstrip())

    told: list[Told] = []
    taken: IntentTaken | None = None

    def hear(step: Told) -> None:
        if taken is None:
            told.append(step)  # what is asked comes before what becomes of it
        else:
            tell(step)

    async with Follower(here, intent, hear) as follower:
        taken = await here.send(intent)
        again = ", asked before" if taken.repeated else ""
        asked = f"{intent.asset}.{intent.operation}"
        facts = {"handle": taken.handle, "command": taken.command, "repeated": taken.repeated}
        text = f"[bold]{taken.handle}[/] {safe(asked)} ({taken.command}{again})"
        voice.say(text, event="taken", **facts)
        for step in told:
            tell(step)
        with working(f"following {taken.handle}…", quiet=voice.json):
            return await follower.until_rest(wait)


def ended_badly(status: CommandStatus) -> bool:
    """Whether a script should stop here."""
    if status.outcome in ("command.failed", "command.outcome_unknown"):
        return True
    return status.phase in ("denied", "expired", "cancelled") and status.outcome != "command.executed"


def parse_arguments(texts: list[str]) -> dict[str, Scalar]:
    """`key=value` words; numbers, true and false are recognised, everything else is text.

    Raises: SettingsError for a word without `=`, a repeated key or a number that is not finite.
    """
    result: dict[str, Scalar] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SettingsError(f"{text!r}: write arguments as key=value", setting="arguments")
        if name in result:
            raise SettingsError(f"argument {name!r} stands twice", setting=name)
        result[name] = _scalar(name, value)
    return result


def _scalar(name: str, text: str) -> Scalar:
    if text in ("true", "false"):
        return text == "true"
    try:
        whole = int(text)
    except ValueError:
        pass
    else:
        if not -(2**63) <= whole < 2**64:
            raise SettingsError(f"argument {name!r} is {text}: no tag holds more than 64 bits", setting=name)
        return whole
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        raise SettingsError(f"argument {name!r} is {text!r}: give a finite number", setting=name)
    return number


def check_known(plant: Plant, wish: Wish) -> None:
    """A typing mistake is told here, with what is near; the gate judges by itself all the same.

    Raises: SettingsError.
    """
    assets = plant.model.assets
    if wish.asset not in assets:
        raise _unknown("asset", wish.asset, "the assets are", assets)
    operations = assets[wish.asset].operations
    act = ACTS.get(wish.operation)
    if act is None and wish.operation not in operations:
        raise _unknown("operation", wish.operation, f"{wish.asset} has", operations)
    wanted = operations[wish.operation].arguments if act is None else act.arguments
    for name in wish.arguments:
        if name not in wanted:
            raise _unknown("argument", name, f"{wish.operation} takes", wanted)
    if missing := [name for name in wanted if name not in wish.arguments]:
        name, argument = missing[0], wanted[missing[0]]
        unit = f" in {argument.unit}" if argument.unit else ""
        raise SettingsError(
            f"{wish.operation} needs the argument {name!r}: add {name}=VALUE, a {argument.type}{unit}",
            setting="arguments",
        )


def _unknown(what: str, word: str, there: str, known: Iterable[str]) -> SettingsError:
    names = list(known)
    return SettingsError(
        f"no {what} {word!r}{did_you_mean(word, names)}: {there} {some(names)}", setting=what
    )


def commands(
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: Json = False,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not at their end.")] = False,
    limit: Annotated[int, typer.Option(help="How many, the newest first.")] = 20,
) -> None:
    """List commands, the newest first."""
    run(_commands(folder, user, open_only=open_only, limit=limit, json=json))


async def _commands(folder: Path, user: str, *, open_only: bool, limit: int, json: bool) -> None:
    async with session(folder, user, quiet=json) as here:
        question = CommandsAsked(limit=limit, open_only=open_only)
        told = await here.ask("command", "list", question, CommandsListed)
    if json:
        print_json(told)
        return
    table(
        f"{told.total} commands",
        ("command", "asked", "by", "at", "how it stands"),
        (
            (c.handle, f"{c.asset}.{c.operation}", c.actor, f"{c.asked_at:%H:%M:%S}", safe(describe(c)))
            for c in told.commands
        ),
    )
