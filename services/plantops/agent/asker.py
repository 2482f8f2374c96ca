"""Who stands at the chat's door, and for whom. Pure but for the policy that is handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from plantops.events.base import PrincipalName
from plantops.events.envelope import Message
from plantops.flow.caller import caller_of
from plantops.policy.keyring import Keyring
from plantops.runtime.errors import Refused

MAX_CHAIN: Final = 5


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
    """Who asks. Only a program (a principal of kind agent) asks for somebody else; at the end is a person.

    Raises: Refused for strangers, for a chain of anybody else, and for the agent, which does not ask itself.
    """
    login = caller_of(message, keyring).name
    chain = (login, *on_behalf_of)
    if len(chain) > MAX_CHAIN:
        raise Refused(f"a chain of at most {MAX_CHAIN} names is taken", reason="wrong_chain")
    if agent in chain or len(set(chain)) < len(chain):
        raise Refused("nobody asks himself through another one", reason="wrong_chain")
    kinds = []
    for name in chain:
        principal = keyring.principal(name)
        if principal is None:
            raise Refused(f"{name[:64]!r} does not stand in the policy", reason="unknown_principal")
        kinds.append(principal.kind)
    if any(kind != "agent" for kind in kinds[:-1]):
        raise Refused(f"{login} asks for itself only: leave out on_behalf_of", reason="wrong_chain")
    if kinds[-1] == "process" or (on_behalf_of and kinds[-1] != "person"):
        raise Refused(f"{chain[-1]} is no person to ask for", reason="wrong_chain")
    return Asker(login, on_behalf_of)
