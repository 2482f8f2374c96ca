"""`plantops lock`, `unlock`, `bypass`, `end-bypass`, `holds`: acts on what may be commanded at all.

They lock commands, not energy. Who works on a machine locks it out at its isolators.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from plantops.cli.commands import Wish, ask_for
from plantops.cli.output import DEMO_FOLDER, Folder, Json, JsonLines, User, print_json, safe, table
from plantops.cli.session import Session, run, session
from plantops.events.base import AssetName, CommandId, Scalar
from plantops.events.queries import HoldsAsked, HoldsListed
from plantops.policy.acts import BYPASS, END_BYPASS, LOCK, UNLOCK
from plantops.runtime.errors import Refused

Asset = Annotated[str, typer.Argument(help="For example pump-001.")]
Confirm = Annotated[str, typer.Option("--confirm", help="Confirm this simulation (c12 or its identity).")]
Wait = Annotated[float, typer.Option(help="Seconds to follow it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="lock")(lock)
    app.command(name="unlock")(unlock)
    app.command(name="bypass")(bypass)
    app.command(name="end-bypass")(end_bypass)
    app.command(name="holds")(holds)


def lock(  # noqa: PLR0917 - typer reads the options from the signature
    asset: Asset,
    reason: Annotated[str, typer.Option(help="Why; everybody who is denied reads it.")],
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: JsonLines = False,
    confirm: Confirm = "",
    wait: Wait = 60.0,
) -> None:
    """Lock an asset out with your own lock: only stops go on."""
    wish = _wish(asset, LOCK, {"reason": reason}, confirm)
    run(ask_for(folder, user, wish, wait, json=json))


def unlock(  # noqa: PLR0917 - typer reads the options from the signature
    lock: Annotated[str, typer.Argument(help="The lock, c12 or its identity.")],
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: JsonLines = False,
    confirm: Confirm = "",
    wait: Wait = 60.0,
) -> None:
    """Take a lock off: your own, or with a second person somebody else's."""
    wish = _wish("", UNLOCK, {"lock": lock}, confirm)
    run(ask_for(folder, user, wish, wait, json=json, locate=_where_it_hangs))


def bypass(  # noqa: PLR0917 - typer reads the options from the signature
    asset: Asset,
    permissive: Annotated[str, typer.Argument(help="The id of the permissive, as the policy names it.")],
    minutes: Annotated[float, typer.Option(help="How long.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    measure: Annotated[str, typer.Option(help="What makes up for it meanwhile.")],
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: JsonLines = False,
    wait: Wait = 60.0,
) -> None:
    """Let a permissive not count for a time; somebody else must approve."""
    arguments: dict[str, Scalar] = {
        "permissive": permissive,
        "seconds": minutes * 60.0,
        "reason": reason,
        "measure": measure,
    }
    run(ask_for(folder, user, _wish(asset, BYPASS, arguments), wait, json=json))


def end_bypass(  # noqa: PLR0917 - typer reads the options from the signature
    bypass: Annotated[str, typer.Argument(help="The bypass, c12 or its identity.")],
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: JsonLines = False,
    confirm: Confirm = "",
    wait: Wait = 60.0,
) -> None:
    """End a bypass before its time."""
    wish = _wish("", END_BYPASS, {"bypass": bypass}, confirm)
    run(ask_for(folder, user, wish, wait, json=json, locate=_where_it_hangs))


def holds(
    asset: Annotated[str, typer.Argument(help="Only those of one asset.")] = "",
    folder: Folder = DEMO_FOLDER,
    user: User = "",
    json: Json = False,
) -> None:
    """List the lock-outs and bypasses in force."""
    run(_holds(folder, user, asset, json=json))


async def _holds(folder: Path, user: str, asset: str, *, json: bool) -> None:
    async with session(folder, user, quiet=json) as here:
        told = await _listed(here, asset)
    if json:
        print_json(told)
        return
    table(
        "locked out",
        ("lock", "asset", "by", "since", "reason", "asked to lift"),
        (
            (
                handle,
                each.asset,
                each.owner,
                _moment(each.since),
                safe(each.reason),
                ", ".join(each.lifting) or "-",
            )
            for handle, each in zip(told.lockout_handles, told.lockouts, strict=True)
        ),
    )
    table(
        "bypassed",
        ("bypass", "asset", "permissive", "by", "until", "reason", "instead"),
        (
            (
                handle,
                each.asset,
                each.permissive,
                each.owner,
                _moment(each.expires_at),
                safe(each.reason),
                safe(each.measure),
            )
            for handle, each in zip(told.bypass_handles, told.bypasses, strict=True)
        ),
    )


def _moment(at: object) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _wish(asset: str, act: str, arguments: dict[str, Scalar], confirms: str = "") -> Wish:
    return Wish(asset, act, arguments, "execute", confirms, "", str(arguments.get("reason", "")))


async def _where_it_hangs(here: Session, wish: Wish) -> Wish:
    """The asset of a lock or bypass; it is asked there."""
    name, word = next(iter(wish.arguments.items()))
    told = await _listed(here)
    if name == "lock":
        places = zip(told.lockout_handles, [(each.lock, each.asset) for each in told.lockouts], strict=True)
    else:
        places = zip(told.bypass_handles, [(each.bypass, each.asset) for each in told.bypasses], strict=True)
    found: dict[str, tuple[CommandId, AssetName]] = {}
    for handle, place in places:
        found[handle] = found[place[0]] = place
    if word not in found:
        raise Refused(f"no {name} {word!r} is in force: look with `plantops holds`", reason=name)
    identity, asset = found[str(word)]
    return replace(wish, asset=asset, arguments={name: identity})


async def _listed(here: Session, asset: str = "") -> HoldsListed:
    return await here.ask("command", "holds", HoldsAsked(asset=AssetName(asset)), HoldsListed)
