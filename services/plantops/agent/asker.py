"""Who stands at the chat's door, and for whom. Pure but for the policy that is handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from plantops.events.base import PrincipalName
from plantops.events.envelope import Message
from plantops.flow.caller import caller_of
from plantops.policy.keyring import Keyring
from plantops.runtime.errors import Refused

MAX_CHAIN: Final = 4


@dataclass(frozen=True, slots=True)
class Asker:
    """A login, and whom it asks for; each of them stands in the policy."""

    login: PrincipalName
    on_behalf_of: tuple[PrincipalName, ...]

    @property
    def person(self) -> PrincipalName:
        """Whose conversation it is, and who pays for it."""
        return self.on_behalf_of[-1] if self.on_behalf_of else self.login


def asker_of(
    message: Message, keyring: Keyring, on_behalf_of: tuple[PrincipalName, ...], *, agent: PrincipalName
) -> Asker:
    """Who asks. A chain is believed only from a program (a principal of kind agent), and ends with a person.

    Raises: Refused for strangers, for a chain of anybody else, and for the agent, which does not ask itself.
    """
    login = caller_of(message, keyring).name
    if agent in (login, *on_behalf_of):
        raise Refused(f"{agent} does not ask itself", reason="not_allowed")
    if not on_behalf_of:
        return Asker(login, ())
    caller = keyring.principal(login)
    if caller is None or caller.kind != "agent":
        raise Refused(f"{login} asks for itself only: leave out on_behalf_of", reason="not_allowed")
    if len(on_behalf_of) > MAX_CHAIN:
        raise Refused(f"a chain of at most {MAX_CHAIN} names is taken", reason="too_large")
    for name in on_behalf_of:
        if keyring.principal(name) is None:
            raise Refused(f"{name[:64]!r} does not stand in the policy", reason="not_allowed")
    last = keyring.principal(on_behalf_of[-1])
    if last is None or last.kind != "person":
        raise Refused("the last one in on_behalf_of is a person", reason="not_allowed")
    return Asker(login, on_behalf_of)
