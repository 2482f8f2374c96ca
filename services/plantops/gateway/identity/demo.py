"""A demonstration believes what a caller says of himself: on this machine, at the site `demo`, only."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from plantops.gateway.identity.credentials import Credentials, Unproved
from plantops.gateway.settings import GatewaySettings
from plantops.runtime.errors import SettingsError

DEMO_SITE: Final = "demo"
_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Demo:
    """`people` by role, as the settings say. Make it with `read`."""

    people: Mapping[str, str]

    @classmethod
    def read(cls, settings: GatewaySettings, site: str) -> Demo:
        """Raises: SettingsError anywhere but on loopback and at the site `demo`."""
        if site != DEMO_SITE:
            raise SettingsError(
                f"gateway.demo believes anybody; at the site {site!r} take jwt, certificates or api_keys",
                setting="gateway.demo.enabled",
            )
        if not is_loopback(settings.host):
            raise SettingsError(
                f"gateway.demo believes anybody, and others reach {settings.host!r} too: use 127.0.0.1",
                setting="gateway.demo.enabled",
            )
        return cls(settings.demo.people)

    def principal(self, asked: Credentials) -> str:
        """Who the caller says that he is; "" when he says nothing. Raises: Unproved."""
        roles = [each.strip() for each in asked.one("x-roles").split(",") if each.strip()]
        subject = asked.one("x-subject")
        if not roles and not subject:
            return ""
        _check_host(asked)
        if subject in self.people.values():
            return subject
        if unknown := [each for each in roles if each not in self.people]:
            known = ", ".join(sorted(self.people))
            raise Unproved("demo", f"no demo person has the role {unknown[0]!r}: use one of {known}")
        if not roles:
            raise Unproved("demo", f"there is no demo person {subject!r}: send X-Roles too")
        return self.people[roles[0]]


def is_loopback(host: str) -> bool:
    """Whether this address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_host(asked: Credentials) -> None:
    """A page of another name that resolves to this machine must not speak for who sits at it."""
    host = asked.one("host").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name not in _HOSTS:
        raise Unproved("demo", f"in a demonstration the host is localhost, not {name!r}")
