"""A person at the command line: his keys, his connection, his questions and his signed words."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from plantops.cli.failing import DEBUG
from plantops.cli.output import did_you_mean, some, working
from plantops.deployment.broker import connect
from plantops.deployment.place import Place, load_place
from plantops.events.base import AssetName, OperationName, PrincipalName, Record, Scalar, SiteName
from plantops.events.command_parts import Approval, Intent, Mode
from plantops.events.queries import ApprovalTaken, CommandStatus, IntentTaken, ProblemDetail
from plantops.flow.bus import Bus
from plantops.flow.client import Client
from plantops.flow.words import new_intent, sealed
from plantops.ledger.keys import SigningKey
from plantops.model.load import Plant
from plantops.policy.judge import rule_for
from plantops.runtime.errors import BrokerUnavailable, PolicyRejected, Refused, SettingsError
from plantops.runtime.log import configure_logging
from plantops.runtime.nkey import NKey

ASK_SECONDS = 5.0
CONNECT_SECONDS = 10.0

T = TypeVar("T", bound=Record)
R = TypeVar("R")


@dataclass(frozen=True)
class Session:
    """One person, connected as a client. The model is read when it is first needed: that takes longer."""

    site: Place
    name: str
    bus: Bus
    key: SigningKey

    @cached_property
    def plant(self) -> Plant:
        """What the folder says of assets, operations and tags. Raises: SettingsError."""
        # Not above: it needs the libraries of every adapter, which most commands can do without.
        from plantops.deployment.site import Site, load_site  # noqa: PLC0415

        return self.site.plant if isinstance(self.site, Site) else load_site(self.site.folder.root).plant

    @cached_property
    def client(self) -> Client:
        """Asks in this person's name."""
        logs = self.site.folder.logs
        return Client(
            SiteName(self.site.name),
            PrincipalName(self.name),
            self.bus,
            ASK_SECONDS,
            hint=f", or look at `plantops doctor` and the logs in {logs}",
            refused=_with_its_code,
        )

    async def ask(self, area: str, verb: str, question: Record | None, kind: type[T]) -> T:
        """Ask a public service. Raises: Refused with its reason, NobodyAnswers, BrokerUnavailable."""
        return await self.client.ask(area, verb, question, kind)

    async def ask_door(
        self, area: str, verb: str, question: Record, kind: type[T], *, seconds: float = ASK_SECONDS
    ) -> T:
        """Ask a door by this person's own name, such as `chat` or `tool`. Raises: as `ask`."""
        return await self.client.ask_door(area, verb, question, kind, seconds=seconds)

    def intent(
        self,
        asset: str,
        operation: str,
        arguments: Mapping[str, Scalar],
        *,
        mode: Mode = "execute",
        confirms: CommandStatus | None = None,
        key: str = "",
        reason: str = "",
    ) -> Intent:
        """A complete intent in this person's name; what it confirms, it confirms with the result it had."""
        return new_intent(
            self.site.name,
            self.name,
            asset,
            operation,
            arguments,
            model=self.plant.digest,
            mode=mode,
            confirms=confirms,
            key=key,
            reason=reason,
        )

    async def send(self, intent: Intent) -> IntentTaken:
        """Sign an intent and hand it in at the door; a stop is handed in again until somebody answers.

        Raises: Refused, NobodyAnswers, BrokerUnavailable.
        """
        is_safe = self.is_safe(intent.asset, intent.operation)
        return await self.client.hand_in(intent, sealed(intent, self.key), is_safe=is_safe)

    def is_safe(self, asset: AssetName, operation: OperationName) -> bool:
        """Whether the folder's policy calls it safe-direction; what cannot be told is not."""
        # As above: whoever has made an intent has loaded these by now, and who only asks never does.
        from plantops.deployment.policies import read_envelope, verify_envelope  # noqa: PLC0415

        try:
            folder = self.site.folder
            policy = verify_envelope(folder, read_envelope(folder)).policy
        except (PolicyRejected, SettingsError):
            return False
        return rule_for(policy, asset, operation).safe_direction

    async def send_approval(self, approval: Approval) -> ApprovalTaken:
        """Sign an approval or rejection and hand it in at the door. Raises: Refused."""
        return await self.client.hand_in_approval(approval, sealed(approval, self.key))


def _with_its_code(problem: ProblemDetail) -> Refused:
    return Refused(f"{problem.message} ({problem.code})", reason=problem.code)


@asynccontextmanager
async def session(folder: Path, name: str, *, quiet: bool = False) -> AsyncIterator[Session]:
    """Log in as a person. Raises: SettingsError when his keys are not here, BrokerUnavailable."""
    place = load_place(folder)
    person = person_of(place, name)
    with working(f"logging in as {person}…", quiet=quiet):
        opened = await _open(place, person)
    try:
        yield opened
    finally:
        await opened.bus.close()


@asynccontextmanager
async def session_of(site: Place, name: str) -> AsyncIterator[Session]:
    """As `session`, for a site that is loaded already."""
    opened = await _open(site, name)
    try:
        yield opened
    finally:
        await opened.bus.close()


async def _open(site: Place, name: str) -> Session:
    identity = site.folder.identity(name, person=True)
    key, login = SigningKey.load(identity.signing), NKey.load(identity.login)
    try:
        return Session(site, name, await connect(site, name, login, wait=CONNECT_SECONDS), key)
    except BrokerUnavailable as error:
        raise BrokerUnavailable(
            f"{error.message}: is the site up, and does its policy name this login of {name!r}? "
            f"Look with `plantops doctor --folder {site.folder.root}`"
        ) from error


def person_of(site: Place, name: str) -> str:
    """Whose keys are used: the named person's, or those of the only one, or of the demo's alice."""
    folder = site.folder.people
    here = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if name:
        if name not in here:
            raise SettingsError(
                f"no keys of {name!r}{did_you_mean(name, here)} in {folder}, there are those of "
                f"{some(here)}: make them with `plantops identity new {name} --folder {site.folder.root}`",
                setting="as",
            )
        return name
    if "alice" in here and site.name == "demo":
        return "alice"
    if len(here) == 1:
        return here[0]
    if not here:
        raise SettingsError(
            f"no person's keys are in {folder}: make some with "
            f"`plantops identity new NAME --folder {site.folder.root}`",
            setting="as",
        )
    raise SettingsError(f"keys of {some(here)} are here: say who acts with `--as NAME`", setting="as")


def run(work: Coroutine[Any, Any, R]) -> R:
    """Run one command's work; what the connection logs by itself is for PLANTOPS_DEBUG only."""
    configure_logging("cli", "debug" if os.environ.get(DEBUG) else "error")
    return asyncio.run(work)
