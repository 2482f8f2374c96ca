"""`[connection]` of a delegate, and what must hold between its settings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta

from plantops.model.xsd import ValueType
from plantops.runtime.errors import SettingsError

# Segments as RFC 3986, 3.3, less what the client would rewrite.
_SEGMENTS = r"(/[A-Za-z0-9._~$=:@+,-]+)+"
_PATH = re.compile(_SEGMENTS)
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9a-fA-F:.]+")
Path: TypeAlias = Annotated[str, Meta(pattern=rf"^{_SEGMENTS}\Z")]


class DelegateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the delegate is, which of the forms it speaks, and how both sides prove who they are.

    `protocol`: `basyx` answers when the operation has ended; `async` may answer 202 and is asked for the job.
    `body`: a list of OperationVariable, the AAS request object, or an object with plain values. `types` gives
    an argument another type than its value's own. `simulate_by` names who else than the header
    `PlantOps-Simulate` says that nothing may be done; `simulate_path` is added to the operation's path.
    """

    url: str
    health: Path = "/health"
    protocol: Literal["basyx", "async"] = "basyx"
    body: Literal["list", "request", "plain"] = "list"
    types: Mapping[str, ValueType] = {}
    simulates: bool = False
    simulate_by: Literal["header", "query", "context"] = "header"
    simulate_path: Annotated[str, Meta(pattern=rf"^({_SEGMENTS})?\Z")] = ""
    jobs: str = ""
    poll_ms: Annotated[int, Meta(ge=10, le=60_000)] = 500
    key_id: str = ""
    secret: str = ""
    unsigned: bool = False
    insecure: bool = False
    ca: str = ""
    max_body_bytes: Annotated[int, Meta(ge=256, le=1024 * 1024)] = 65_536

    @property
    def can_simulate(self) -> bool:
        """Whether a simulation may be sent at all: who does not know of it would really act."""
        return self.simulates or bool(self.simulate_path)


def check(settings: DelegateSettings) -> None:
    """Raises: SettingsError naming the setting."""
    parts = _address(settings.url)
    if parts.scheme == "http" and not settings.insecure and not is_loopback(parts.hostname or ""):
        raise SettingsError(
            f"{settings.url!r} is plain http beyond this machine: anybody on the way reads and withholds "
            "commands. Use https, or set insecure = true",
            setting="url",
        )
    if bool(settings.key_id) != bool(settings.secret):
        raise SettingsError("key_id and secret go together: give both or neither", setting="key_id")
    if not settings.key_id and not settings.unsigned:
        raise SettingsError(
            "give key_id and secret, so that both sides sign; for a delegate that cannot: unsigned = true",
            setting="key_id",
        )
    if settings.key_id and settings.unsigned:
        raise SettingsError("unsigned = true contradicts key_id: remove one of them", setting="unsigned")
    if settings.protocol == "basyx" and settings.body != "list":
        raise SettingsError(f"the basyx protocol takes a list, not body = {settings.body!r}", setting="body")
    if settings.simulate_by == "context" and settings.body == "list":
        raise SettingsError("a list has no clientContext: use header or query", setting="simulate_by")
    if settings.jobs and (settings.jobs.count("{id}") != 1 or not settings.jobs.startswith("/")):
        raise SettingsError(f"jobs = {settings.jobs!r}: write it like /jobs/{{id}}", setting="jobs")


def cautions(settings: DelegateSettings) -> tuple[str, ...]:
    """What works and is less than it could be, for people."""
    said = []
    if settings.insecure and settings.url.startswith("http:"):
        said.append("insecure = true: commands travel as plain http")
    if settings.unsigned:
        said.append("unsigned = true: anybody on the way can command, and answer for the delegate")
    return tuple(said)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by its name or number; nothing is looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port, path = parts.port, parts.path.rstrip("/")
    except ValueError as error:
        raise SettingsError(f"url {url!r}: {error}", setting="url") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise SettingsError(f"url {url!r}: write it like https://delegate.example:8443/api", setting="url")
    if parts.username is not None or parts.query or parts.fragment or "?" in url or "#" in url:
        # A password here would stand in logs; a query would be lost when the operation's path is added.
        raise SettingsError("url: give host, port and path only", setting="url")
    if _HOST.fullmatch(parts.hostname) is None or (path and _PATH.fullmatch(path) is None):
        raise SettingsError(f"url {url!r}: write names and paths in plain ASCII letters", setting="url")
    return parts
