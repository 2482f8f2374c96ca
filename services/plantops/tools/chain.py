"""Who asks, whom for, and what they may: each in a chain needs the right. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from plantops.events.base import PrincipalName
from plantops.events.command_parts import Risk
from plantops.policy import rights
from plantops.policy.document import Policy
from plantops.policy.verified import Verified, status
from plantops.runtime.errors import Refused
from plantops.tools.contract import AnyTool

MAX_CHAIN: Final = 8


def chain_of(
    policy: Policy, caller: PrincipalName, on_behalf_of: Sequence[PrincipalName]
) -> tuple[PrincipalName, ...]:
    """The caller, and those it asks for, the person last.

    Raises: Refused unless everybody is known, and everyone but the last is an agent.
    """
    chain = (caller, *on_behalf_of)
    if len(chain) > MAX_CHAIN:
        raise Refused(f"a chain of {len(chain)} names, at most {MAX_CHAIN} are taken", reason="wrong_chain")
    for name in chain:
        if name not in policy.principals:
            raise Refused(f"{name[:64]!r} is no principal of the policy", reason="unknown_principal")
    for name, next_name in pairwise(chain):
        if policy.principals[name].kind != "agent":
            raise Refused(
                f"{name!r} cannot ask for {next_name!r}: only agents and gateways ask for others",
                reason="wrong_chain",
            )
    if len(set(chain)) < len(chain):
        raise Refused(f"a name stands twice in the chain {' for '.join(chain)}", reason="wrong_chain")
    if policy.principals[chain[-1]].kind == "process":
        raise Refused(f"{chain[-1]!r} is a process: nobody asks for it", reason="wrong_chain")
    return chain


def may_call(policy: Policy, chain: Sequence[PrincipalName], name: str, risk: Risk) -> bool:
    """Whether everybody in the chain may call a read tool: low risk is open to every principal."""
    return risk == "low" or not _lacking(policy, chain, rights.patterns_for("tool", name))


def may_ask(policy: Policy, chain: Sequence[PrincipalName], asset: str, operation: str) -> bool:
    """Whether everybody in the chain has a role that covers the operation; the gate has the last word."""
    return not _lacking(policy, chain, rights.patterns_for(asset, operation))


def check_call(verified: Verified, chain: Sequence[PrincipalName], tool: AnyTool, now: datetime) -> None:
    """Raises: Refused. Under a policy that has expired, what is open to everybody can still be read."""
    if tool.risk == "low":
        return
    if (standing := status(verified, now)) != "in_force":
        raise Refused(
            f"the policy is {standing.replace('_', ' ')}: {tool.name} of risk {tool.risk} needs one in force",
            reason="policy_not_in_force",
        )
    if lacking := _lacking(verified.policy, chain, rights.patterns_for("tool", tool.name)):
        raise Refused(
            f"{tool.name} has risk {tool.risk}, and no role of {', '.join(lacking)} covers tool.{tool.name}",
            reason="not_authorised",
        )


def _lacking(policy: Policy, chain: Sequence[PrincipalName], patterns: frozenset[str]) -> list[PrincipalName]:
    return [name for name in chain if not rights.may(policy, name, patterns)]
