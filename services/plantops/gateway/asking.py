"""Asking for a command in a caller's name: once for each key, and followed to where it rests."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from plantops.events.command_parts import Intent, command_id
from plantops.events.queries import CommandStatus, IntentTaken
from plantops.gateway.desk import Desk
from plantops.gateway.live import Follower, Live
from plantops.gateway.problems import HttpProblem
from plantops.gateway.standing import is_at_rest
from plantops.runtime.errors import Refused

LOOK_SECONDS: Final = 1.0
_FOLD_SECONDS: Final = 2.0
_FIRST_SECONDS: Final = 0.25
_SOON_SECONDS: Final = 0.003


@dataclass(frozen=True, slots=True)
class Taken:
    """What the door has; `status` is None while the gate has not folded it."""

    taken: IntentTaken
    status: CommandStatus | None = None


async def ask_once(desk: Desk, intent: Intent) -> IntentTaken:
    """Hand in an intent of the gateway. The same key with the same words is the same command.

    The door compares exact bytes, and an intent signed anew has another time: so a key that is known is
    looked up, and compared by what was asked. Raises: HttpProblem 409 for other words; as `Desk.send`.
    """
    try:
        return await desk.send(intent)
    except Refused as error:
        if error.reason != "key_conflict":
            raise
    known = await known_soon(desk, command_id(intent.actor, intent.key))
    if known is None or not is_same(known, intent):
        handle = known.handle if known is not None else "another command"
        raise HttpProblem(
            409,
            "conflict",
            f"this key was used for {handle}, which asked something else: take a new key",
            details={"reason": "key_conflict"},
        )
    return IntentTaken(command=known.command, handle=known.handle, repeated=True)


def is_same(known: CommandStatus, intent: Intent) -> bool:
    """Whether a command was asked by the same words."""
    return (
        known.asset,
        known.operation,
        known.arguments,
        known.mode,
        known.on_behalf_of,
        known.confirms,
    ) == (
        intent.asset,
        intent.operation,
        intent.arguments,
        intent.mode,
        intent.on_behalf_of,
        intent.confirms,
    )


async def known(desk: Desk, command: str) -> CommandStatus | None:
    """Where it stands; None while nobody knows of it."""
    try:
        return await desk.command(command)
    except Refused as error:
        if error.reason == "unknown_command":
            return None
        raise


async def known_soon(desk: Desk, command: str) -> CommandStatus | None:
    """As `known`, for what the door has taken: the gate folds it in a moment."""
    deadline = time.monotonic() + _FOLD_SECONDS
    # The gate tells nobody when it has folded an intent.
    while (found := await known(desk, command)) is None and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return found


async def until_rest(
    desk: Desk,
    follower: Follower,
    command: str,
    seconds: float,
    *,
    rests: bool = True,
    is_new: bool = False,
) -> CommandStatus | None:
    """Where it stands once nothing more happens without a person, or after `seconds`. `rests` False: once
    it is other than the first time. `is_new`: the door has just taken it, so the gate need not be asked
    before something is heard. None while nobody knows of it."""
    deadline = time.monotonic() + seconds
    status = first = None if is_new else await known(desk, command)
    pause = _FIRST_SECONDS  # what is heard is quicker, unless the connection was away
    while (left := deadline - time.monotonic()) > 0:
        if status is not None and (is_at_rest(status) if rests else status != first):
            break
        # What was heard, the gate may fold a moment later.
        is_heard = await follower.news(min(pause, left), rests=rests)
        pause = _SOON_SECONDS if is_heard else min(2 * pause, LOOK_SECONDS)
        status = await known(desk, command)
    return status


async def ask_and_wait(desk: Desk, live: Live, intent: Intent, seconds: float) -> Taken:
    """As `ask_once`, and then follow it for at most `seconds`."""
    if seconds <= 0:
        return Taken(await ask_once(desk, intent))
    async with live.following(command_id(intent.actor, intent.key)) as follower:
        taken = await ask_once(desk, intent)
        is_new = not taken.repeated
        return Taken(taken, await until_rest(desk, follower, taken.command, seconds, is_new=is_new))
