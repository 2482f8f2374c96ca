"""Who stands at the door: the broker's own word on the connection behind a request."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from plantops.events.base import PrincipalName
from plantops.events.envelope import Message
from plantops.policy.keyring import Keyring
from plantops.runtime.errors import Refused

REQUEST_INFO = "Nats-Request-Info"


class _RequestInfo(msgspec.Struct):
    """What nats-server 2.15 writes on a shared service import; other fields are not read."""

    kind: str = ""
    acc: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """A login that the policy knows."""

    name: PrincipalName
    login: str


def caller_of(message: Message, keyring: Keyring) -> Caller:
    """The principal behind a request.

    The header is overwritten by the server on every request that crosses the account border. A message
    that JetStream or a service put on the door's subject has kind `JetStream` or no header, and no user.

    Raises: Refused when it was no client connection, or a login that the policy does not know.
    """
    text = message.header(REQUEST_INFO)
    if not text:
        raise Refused("this request came from no client connection", reason="no_login")
    try:
        info = msgspec.json.decode(text, type=_RequestInfo)
    except msgspec.DecodeError as error:
        raise Refused("the broker's word on this request is unreadable", reason="no_login") from error
    if info.kind != "Client" or info.acc != "CLIENTS" or not info.user:
        raise Refused(f"requests of kind {info.kind!r} are not let in", reason="no_login")
    name = keyring.login(info.user)
    if name is None:
        raise Refused(
            f"login {info.user} is not in the policy: add it to a principal's logins", reason="unknown_login"
        )
    return Caller(name, info.user)
