"""`plantops ask`: say what you want in plain words; the plant does it as far as the gate allows."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from plantops.cli.output import DEMO_FOLDER, Folder, Json, User, print_json, safe, table, visible
from plantops.cli.session import ASK_SECONDS, Session, run, session
from plantops.events.chatting import ChatAsked, ChatTaken, ResetAsked, ResetDone, TurnAskedFor, TurnTold
from plantops.events.conversation import ToolOutcome
from plantops.runtime.errors import BrokerUnavailable, NobodyAnswers, Refused

WAIT_SECONDS: Final = 20.0
_ATTEMPTS: Final = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="ask")(ask)


def ask(  # noqa: PLR0917 - typer reads the options from the signature
    words: Annotated[list[str], typer.Argument(help="What you want, for example: set pump-001 to 1200 rpm")],
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: Json = False,
    conversation: Annotated[
        str, typer.Option("--conversation", "-c", help="Go on with this one; without it, one question alone.")
    ] = "",
    reset: Annotated[
        bool, typer.Option("--reset", help="What was said before in the conversation counts no more.")
    ] = False,
    key: Annotated[str, typer.Option(help="Idempotency key; the same key asks for nothing twice.")] = "",
) -> None:
    """Ask the agent in plain words, and follow its answer."""
    if reset and not conversation:
        raise typer.BadParameter("say which one with --conversation", param_hint="--reset")
    asked = ChatAsked(message=" ".join(words), conversation=conversation, key=key or secrets.token_hex(12))
    run(_ask(folder, user, asked, reset=reset, json=json))


async def _ask(folder: Path, user: str, asked: ChatAsked, *, reset: bool, json: bool) -> None:
    """Raises: Refused when the turn failed, or a command was denied or failed."""
    async with session(folder, user, quiet=json) as here:
        if reset:
            await here.ask_door("chat", "reset", ResetAsked(conversation=asked.conversation), ResetDone)
        taken = await _insist(here, asked)
        told = await _follow(here, taken, _Speaker(is_silent=json))
    if json:
        print_json(told)
    else:
        _outcomes(told.outcomes)
    _check(told)


async def _insist(here: Session, asked: ChatAsked) -> ChatTaken:
    """Under its key it is one turn however often it is sent. Raises: Refused, BrokerError."""
    for _attempt in range(_ATTEMPTS):
        try:
            return await here.ask_door("chat", "ask", asked, ChatTaken)
        except BrokerUnavailable:
            continue  # perhaps it was taken
        except Refused as error:
            if error.reason != "unavailable":
                raise
    return await here.ask_door("chat", "ask", asked, ChatTaken)


async def _follow(here: Session, taken: ChatTaken, speaker: _Speaker) -> TurnTold:
    """Until the turn has ended; a host that dies meanwhile is followed by another one. Raises: Refused."""
    after, away = 0, 0
    while True:
        question = TurnAskedFor(
            conversation=taken.conversation, turn=taken.turn, after=after, wait_seconds=WAIT_SECONDS
        )
        try:
            told = await here.ask_door(
                "chat", "watch", question, TurnTold, seconds=WAIT_SECONDS + ASK_SECONDS
            )
        except (BrokerUnavailable, NobodyAnswers):
            away += 1
            if away > _ATTEMPTS:
                raise
            continue
        after, away = told.revision, 0
        speaker.say(told.text)
        if told.status != "open":
            speaker.end()
            return told


class _Speaker:
    """Prints a text that grows. One that was said otherwise meanwhile is said anew."""

    def __init__(self, *, is_silent: bool) -> None:
        self._is_silent = is_silent
        self._said = ""

    def say(self, text: str) -> None:
        clean = "\n".join(map(visible, text.splitlines()))
        if self._is_silent or self._said.endswith(clean):
            return
        if clean.startswith(self._said):
            sys.stdout.write(clean[len(self._said) :])
        else:
            sys.stdout.write(f"\n\n{clean}")
        sys.stdout.flush()
        self._said = clean

    def end(self) -> None:
        if self._said:
            sys.stdout.write("\n")


def _outcomes(outcomes: tuple[ToolOutcome, ...]) -> None:
    commands = [one for one in outcomes if one.command]
    if commands:
        rows = ((one.handle or one.command, one.tool, one.status, safe(one.error)) for one in commands)
        table("", ("command", "operation", "outcome", "reason"), rows)


def _check(told: TurnTold) -> None:
    """Raises: Refused when a script must not go on as if all were well."""
    if told.status != "answered":
        raise Refused(f"turn {told.turn} of {told.conversation} is {told.status}", reason=told.status)
    for one in told.outcomes:
        if not one.success and (one.command or one.status in ("denied", "unknown")):
            raise Refused(f"{one.handle or one.tool} {one.status}: {one.error}", reason=one.status)
