"""How much one address and one caller may ask."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from plantops.gateway.buckets import Buckets
from plantops.gateway.settings import LimitSettings
from plantops.gateway.streams import Streams


@dataclass(frozen=True)
class Limits:
    """The tables of all workers that share `folder`, and this worker's own `streams`.

    Each answer is 0, or the seconds to wait.
    """

    callers: Buckets
    peers: Buckets
    refused: Buckets
    streams: Streams

    @classmethod
    def open(cls, settings: LimitSettings, folder: Path) -> Limits:
        """Raises: OSError when the folder cannot be written."""
        return cls(
            Buckets.open(folder / "callers.buckets", settings.caller, sets=128),
            Buckets.open(folder / "peers.buckets", settings.peer),
            Buckets.open(folder / "refused.buckets", settings.refused),
            Streams(settings.streams_per_caller),
        )

    def of_address(self, address: str) -> float:
        """One request from an address, before it is known who asks."""
        return self.peers.take(network_of(address))

    def of_refused(self, address: str) -> float:
        """Credentials from there proved nothing. Who proves himself is never held up by who does not: he may
        sit behind the same address, and mean to stop a machine."""
        return self.refused.take(network_of(address))

    def of_caller(self, name: str) -> float:
        """One request of somebody known."""
        return self.callers.take(name)

    def close(self) -> None:
        """Give the maps back."""
        for table in (self.callers, self.peers, self.refused):
            table.close()


def network_of(address: str) -> str:
    """What counts as one peer: an IPv4 address, or the IPv6 network of 64 bits that a host has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
