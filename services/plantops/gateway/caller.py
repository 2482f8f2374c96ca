"""Who asks over HTTP, once that is proved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from plantops.events.base import PrincipalName

How: TypeAlias = Literal["jwt", "mtls", "proxy", "api_key", "hmac", "demo"]
"""By what a caller proved himself: a signed token, his own certificate, what a named proxy says of his
certificate, a machine's key, a signature by a shared secret; or, in a demo, by nothing but his word."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal of the policy in force. `roles` are the policy's, never the request's.

    `request` is the identity of the request (`X-Request-ID`), in answers and logs alike. `over_limit`: he has
    asked too much, and for these seconds nothing but a stop is taken from him.
    """

    name: PrincipalName
    roles: tuple[str, ...]
    how: How
    request: str
    over_limit: float = 0.0

    @property
    def chain(self) -> tuple[PrincipalName, ...]:
        """`on_behalf_of` of whatever the gateway asks for him."""
        return (self.name,)
