"""A person at the command line: his keys, his connection, his questions and his signed words."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from plantops.deployment.runner import connect
from plantops.deployment.site import Site, load_site
from plantops.events import subjects
from plantops.events.base import (
    AssetName,
    CommandId,
    OperationName,
    PrincipalName,
    Record,
    Scalar,
    SiteName,
    encode_json,
)
from plantops.events.commands import APPROVAL_TYPE, INTENT_TYPE, Approval, Intent, Mode
from plantops.events.queries import ApprovalTaken, IntentTaken, ProblemDetail, read_answer
from plantops.flow.bus import Bus
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import NobodyAnswers, Refused, SettingsError
from plantops.runtime.nkey import NKey

ASK_SECONDS = 5.0
INTENT_LIFE = timedelta(minutes=20)
APPROVAL_LIFE = timedelta(minutes=5)

T = TypeVar("T", bound=Record)
R = TypeVar("R")


@dataclass(frozen=True)
class Session:
    """One person, connected as a client."""

    site: Site
    name: str
    bus: Bus
    key: SigningKey

    async def ask(self, area: str, verb: str, question: Record | None, kind: type[T]) -> T:
        """Ask a public service. Raises: Refused with its reason, NobodyAnswers, BrokerUnavailable."""
        data = encode_json(question) if question is not None else b"{}"
        return await self._request(subjects.service(area, self.site.name, verb), data, kind)

    async def _request(self, subject: str, data: bytes, kind: type[T]) -> T:
        try:
            reply = await self.bus.request(subject, data, timeout=ASK_SECONDS)
        except NobodyAnswers as error:
            raise NobodyAnswers(
                f"nobody answers {subject}: look at `plantops status`, the process may be starting"
            ) from error
        answer = read_answer(reply.data, kind)
        if isinstance(answer, ProblemDetail):
            raise Refused(f"{answer.message} ({answer.code})", reason=answer.code)
        return answer

    def intent(
        self,
        asset: str,
        operation: str,
        arguments: Mapping[str, Scalar],
        *,
        mode: Mode = "execute",
        confirms: str = "",
        key: str = "",
        reason: str = "",
    ) -> Intent:
        """A complete intent in this person's name."""
        now = datetime.now(UTC)
        return Intent(
            site=SiteName(self.site.name),
            asset=AssetName(asset),
            operation=OperationName(operation),
            arguments=dict(arguments),
            mode=mode,
            actor=PrincipalName(self.name),
            key=key or secrets.token_hex(12),
            nonce=secrets.token_hex(12),
            issued_at=now,
            expires_at=now + INTENT_LIFE,
            model=self.site.plant.digest,
            confirms=CommandId(confirms),
            reason=reason,
        )

    async def send(self, intent: Intent) -> IntentTaken:
        """Sign an intent and hand it in at the door. Raises: Refused."""
        envelope = dsse.encode(dsse.seal(INTENT_TYPE, encode_json(intent), self.key))
        subject = subjects.intent(intent.site, intent.actor, intent.asset, intent.operation)
        return await self._request(subject, envelope, IntentTaken)

    async def send_approval(self, approval: Approval) -> ApprovalTaken:
        """Sign an approval or rejection and hand it in at the door. Raises: Refused."""
        envelope = dsse.encode(dsse.seal(APPROVAL_TYPE, encode_json(approval), self.key))
        subject = subjects.approval(approval.site, approval.person, approval.command)
        return await self._request(subject, envelope, ApprovalTaken)


@asynccontextmanager
async def session(folder: Path, name: str) -> AsyncIterator[Session]:
    """Log in as a person. Raises: SettingsError when his keys are not here, BrokerUnavailable."""
    site = load_site(folder)
    person = person_of(site, name)
    async with session_of(site, person) as opened:
        yield opened


@asynccontextmanager
async def session_of(site: Site, name: str) -> AsyncIterator[Session]:
    """As `session`, for a site that is loaded already."""
    identity = site.folder.identity(name, person=True)
    key, login = SigningKey.load(identity.signing), NKey.load(identity.login)
    bus = await connect(site, name, login)
    try:
        yield Session(site, name, bus, key)
    finally:
        await bus.close()


def person_of(site: Site, name: str) -> str:
    """Whose keys are used: the named person's, or those of the only one, or of the demo's alice."""
    folder = site.folder.people
    here = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if name:
        if name not in here:
            raise SettingsError(
                f"no keys of {name!r} in {folder} (there are: {', '.join(here) or 'none'}): "
                f"make them with `plantops identity new {name}`",
                setting="as",
            )
        return name
    if "alice" in here and site.name == "demo":
        return "alice"
    if len(here) == 1:
        return here[0]
    raise SettingsError(
        f"say who acts with `--as NAME` (keys of: {', '.join(here) or 'nobody'} are here)", setting="as"
    )


def run(work: Coroutine[Any, Any, R]) -> R:
    """Run one command's work."""
    return asyncio.run(work)
