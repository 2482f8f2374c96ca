"""What a named proxy says of the caller; from anybody else these headers are not read at all."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

from plantops.gateway.identity.certificates import Certificates, subject_of
from plantops.gateway.identity.credentials import Credentials, Unproved
from plantops.gateway.settings import ProxySettings
from plantops.runtime.errors import SettingsError

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Proxies:
    """The proxies that are believed. Make it with `read`."""

    settings: ProxySettings
    networks: tuple[Network, ...]

    @classmethod
    def read(cls, settings: ProxySettings) -> Proxies:
        """Raises: SettingsError."""
        if not settings.peers:
            raise SettingsError("name the proxy's address", setting="gateway.proxy.peers")
        try:
            networks = tuple(ipaddress.ip_network(each) for each in settings.peers)
        except ValueError as error:
            raise SettingsError(f"{error}", setting="gateway.proxy.peers") from error
        if wide := [str(each) for each in networks if each.prefixlen == 0]:
            raise SettingsError(f"{wide[0]} is everybody: name the proxy", setting="gateway.proxy.peers")
        return cls(settings, networks)

    def believes(self, address: str) -> bool:
        """Whether this peer is one of the proxies."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found.version == net.version and found in net for net in self.networks)

    def caller_address(self, asked: Credentials) -> str:
        """Where the caller is: the last address in the chain that is no proxy's, else the peer's."""
        header = self.settings.forwarded.lower()
        if not header or not self.believes(asked.peer):
            return asked.peer
        for each in reversed(",".join(asked.headers.get(header, ())).split(",")):
            address = each.strip()
            if not _is_address(address):
                break
            if not self.believes(address):
                return address
        return asked.peer

    def principal(self, asked: Credentials, certificates: Certificates) -> str:
        """Whose certificate the proxy saw; "" when it saw none, or this is no proxy. Raises: Unproved."""
        header = self.settings.header.lower()
        if not header or not self.believes(asked.peer):
            return ""
        text = asked.one(header)
        if self.settings.verified:
            said = asked.one(self.settings.verified.lower())
            if said in ("", "NONE") and not text:
                return ""
            if said != "SUCCESS":
                raise Unproved("proxy", "the proxy did not verify the client certificate")
        if not text:
            return ""
        try:
            if self.settings.format == "dn":
                return certificates.named(subject_of(text), ())
            element = read_xfcc(text)
            subject = subject_of(element["subject"][0]) if element.get("subject") else None
        except ValueError as error:
            raise Unproved(
                "proxy", f"what the proxy says of the certificate is unreadable: {error}"
            ) from error
        names = [f"URI:{each}" for each in element.get("uri", ())]
        return certificates.named(subject, [*names, *(f"DNS:{each}" for each in element.get("dns", ()))])


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def read_xfcc(text: str) -> dict[str, list[str]]:
    """The one element of an `x-forwarded-client-cert` header (Envoy, HTTP header manipulation): its values by
    lower-case key. More than one element says that somebody before the proxy wrote the header too.

    Raises: ValueError.
    """
    elements = _split(text, ",")
    if len(elements) != 1:
        raise ValueError(f"{len(elements)} elements, wanted one: let the proxy sanitise the header")
    found: dict[str, list[str]] = {}
    for pair in _split(elements[0], ";"):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair!r} is no key=value")
        key = key.strip().lower()
        found.setdefault(key, []).append(unquote(_unquoted(value)) if key == "uri" else _unquoted(value))
    if len(found.get("subject", ())) > 1:
        raise ValueError("two subjects")
    return found


def _split(text: str, mark: str) -> Sequence[str]:
    """Split where `mark` stands outside of double quotes. Raises: ValueError for quotes that do not end."""
    parts, current, is_quoted, is_escaped = list[str](), "", False, False
    for letter in text:
        if letter == mark and not is_quoted:
            parts.append(current)
            current = ""
            continue
        current += letter
        if is_escaped:
            is_escaped = False
        elif letter == "\\":
            is_escaped = True
        elif letter == '"':
            is_quoted = not is_quoted
    if is_quoted:
        raise ValueError("quotes that do not end")
    return [*parts, current]


def _unquoted(value: str) -> str:
    """Within quotes Envoy escapes double quotes only; a backslash of RFC 4514 stays as it is."""
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"')
    return value
