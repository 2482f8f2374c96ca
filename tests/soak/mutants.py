"""Deliberate breaks of the code under test: each must be found, or the soak proves nothing.

`python -m soak.mutants` from the folder of the tests prints how soon each is found.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from unittest.mock import patch

import msgspec
from rich.console import Console

from plantops.adapters.host import deeds, executor
from plantops.adapters.host.claims import Claimed, Claims
from plantops.adapters.host.standing import Standing
from plantops.events import decode
from plantops.events.base import PrincipalName, from_nanoseconds
from plantops.events.command_parts import Intent
from plantops.events.commands import CommandClaimed
from plantops.gate import approvals, circumstances, locks, requests, simulations, site, undoing, withdrawals
from plantops.gate.state import View
from plantops.ledger import dsse
from plantops.policy import conditions, rules, verify
from plantops.policy.keyring import Keyring
from soak.episode import be_silent, episodes, play

SHOWN: Final = Console()
ENOUGH: Final = 20_000
"""Steps after which a break counts as not found."""


@dataclass(frozen=True)
class Mutant:
    """A break: in `owner`, `name` becomes what `make` makes of it; several places may belong together."""

    text: str
    places: tuple[tuple[Any, str, Callable[[Any], Any]], ...]

    @contextmanager
    def alive(self) -> Iterator[None]:
        """The code is broken so far."""
        with ExitStack() as stack:
            for owner, name, make in self.places:
                stack.enter_context(patch.object(owner, name, make(getattr(owner, name))))
            yield


def always(value: Any) -> Callable[[Any], Any]:
    """Whatever is asked, this is the answer."""
    return lambda _original: lambda *_given, **_named: value


def deaf_to(*texts: str) -> Callable[[Any], Any]:
    """A reason that holds one of these texts is no reason any more."""

    def make(original: Callable[..., str]) -> Callable[..., str]:
        def without(*given: Any, **named: Any) -> str:
            reason = original(*given, **named)
            return "" if any(text in reason for text in texts) else reason

        return without

    return make


def _any_decision(original: Any) -> Any:
    def why_not(policy: Any, event: Any, asked: Any, course: Any, now: datetime) -> str:
        wanted = course.approval
        if wanted is not None:
            approval = msgspec.structs.replace(event.approval, intent=wanted.intent, decision=wanted.decision)
            event = msgspec.structs.replace(event, approval=approval)
        return str(original(policy, event, asked, course, now))

    return why_not


def _bypass_for_ever(original: Any) -> Any:
    def bypass_of(permissive: Any, asset: str, policy: Any, known: Any, now: datetime) -> Any:
        since = max((each.since for each in known.bypasses), default=now)
        return original(permissive, asset, policy, known, since)

    return bypass_of


def _keeps_bypasses(original: Any) -> Any:
    def circumstances_of(state: Any, asked: Any, now: datetime) -> Any:
        found = original(state, asked, now)
        kept = tuple(each for each in state.bypasses.values() if each.asset == asked.intent.asset)
        return msgspec.structs.replace(found, bypasses=kept)

    return circumstances_of


def _no_claim(_original: Any) -> Any:
    async def take(self: Any, permit: Any) -> Claimed:
        claim = CommandClaimed(
            site=permit.site, command=permit.command, executor="x", epoch=1, decision=permit.decision
        )
        return Claimed(claim, 0)

    return take


def _without_audit(original: Any) -> Any:
    class Silent:
        async def append(self, *_given: Any, **_named: Any) -> None:
            return

        async def append_or_journal(self, *_given: Any, **_named: Any) -> bool:
            return True

    async def perform(self: Any, *given: Any, **named: Any) -> Any:
        real, self._auditor = self._auditor, Silent()
        try:
            return await original(self, *given, **named)
        finally:
            self._auditor = real

    return perform


def _tries_again(_original: Any) -> Any:
    async def again(self: Any, order: Any, standing: Any) -> Any:
        return await self._perform(order.permit, await self._claims.standing(order.permit.command), standing)

    return again


def _no_problem(_original: Any) -> Any:
    async def problem(self: Any) -> str:
        return ""

    return problem


def _time_stands_still(_original: Any) -> Any:
    return lambda self: from_nanoseconds(self._stored.time_ns)


def _ignores_rejections(original: Any) -> Any:
    def decide(where: Any, state: Any, event: Any, now: datetime) -> Any:
        return () if event.approval.verdict == "reject" else original(where, state, event, now)

    return decide


def _believes_intents(_original: Any) -> Any:
    def open_intent(self: Keyring, data: bytes) -> tuple[Intent, PrincipalName]:
        intent = msgspec.json.decode(dsse.decode(data).body(), type=Intent)
        return intent, intent.actor

    return open_intent


def _believes_events(original: Any) -> Any:
    def believe(self: Keyring, kind: str, version: int, message: Any) -> str:
        if not kind.startswith("command."):
            return str(original(self, kind, version, message))
        decode(message.data)
        return str(message.subject.split(".")[3]) if message.subject.startswith("cmd.") else "gate"

    return believe


def _half_lifted(original: Any) -> Any:
    def lock_of(act: Any) -> Any:
        return msgspec.structs.replace(original(act), lifting=("somebody",))

    return lock_of


def _by_chance(_original: Any) -> Any:
    seen: list[int] = []

    def result_digest(*_given: Any) -> str:
        seen.append(1)
        return f"{len(seen):064d}"

    return result_digest


MUTANTS: Final = (
    Mutant("who asked may approve", ((approvals, "_who_not", deaf_to("asked for it")),)),
    Mutant("any role may approve", ((approvals, "_who_not", deaf_to("none of the roles")),)),
    Mutant("approvals stand on any decision", ((approvals, "_why_not", _any_decision),)),
    Mutant("rejections are not heard", ((approvals, "decide", _ignores_rejections),)),
    Mutant(
        "approvals outlive policies and stops",
        ((approvals, "_changed", always("")), (withdrawals, "outdated", always([]))),
    ),
    Mutant("anybody may confirm", ((requests, "_why_not", deaf_to("was simulated for")),)),
    Mutant("other words may be confirmed", ((requests, "_why_not", deaf_to("differ from what")),)),
    Mutant("a simulation is confirmed twice", ((View, "confirmed_by", always(None)),)),
    Mutant("age does not count", ((conditions, "_age_problem", always("")),)),
    Mutant("quality does not count", ((conditions, "_quality_problem", always("")),)),
    Mutant("any mode will do", ((rules, "equals", always("true")),)),
    Mutant(
        "a bypass never ends",
        (
            (rules, "bypass_of", _bypass_for_ever),
            (circumstances, "bypass_of", _bypass_for_ever),
            (site, "circumstances_of", _keeps_bypasses),
        ),
    ),
    Mutant("locks are ignored", ((rules, "hindrances", always(())),)),
    Mutant(
        "one other person lifts a lock",
        ((locks, "_lock_of", _half_lifted), (locks, "_counts_still", always(True))),
    ),
    Mutant("limits are not counted", ((rules, "limit_findings", always(())),)),
    Mutant("an expired policy goes on", ((rules, "status", always("in_force")),)),
    Mutant("an older policy is taken", ((verify, "_check_order", always(None)),)),
    Mutant("two commands at once", ((requests, "busy", always("")),)),
    Mutant("an unknown outcome hinders nothing", ((View, "unreconciled_on", always(())),)),
    Mutant("what was overwritten is undone", ((undoing, "_later", always("")),)),
    Mutant("intents are believed unsigned", ((Keyring, "open_intent", _believes_intents),)),
    Mutant("events are believed unsigned", ((Keyring, "believe", _believes_events),)),
    Mutant("nothing is claimed", ((Claims, "take", _no_claim),)),
    Mutant("nothing is audited before", ((executor.Executor, "_perform", _without_audit),)),
    Mutant("a claimed command is tried again", ((executor.Executor, "_again", _tries_again),)),
    Mutant("permits never run out", ((Standing, "now", _time_stands_still),)),
    Mutant("a lost lease does not count", ((Standing, "void", deaf_to("the lease")),)),
    Mutant("the gate's later word does not count", ((Standing, "_word_problem", _no_problem),)),
    Mutant(
        "a stop voids nothing",
        ((Standing, "_generation_problem", _no_problem), (Standing, "overtaken", always(""))),
    ),
    Mutant("a judgement never grows old", ((deeds, "outdated", always("")),)),
    Mutant("decisions depend on chance", ((simulations, "result_digest", _by_chance),)),
)


def found_after(mutant: Mutant, *, seed: int = 1, enough: int = ENOUGH) -> tuple[int, str]:
    """Steps until something broke, and what; (0, "") when nothing did."""
    steps = 0
    with mutant.alive():
        for _seed, history in episodes(seed, enough):
            played = play(history)
            steps += played.steps
            if played.broken:
                return steps, str(played.broken[0])
    return 0, ""


def main() -> int:
    """How soon each break is found; fails when one is not."""
    be_silent()
    missed = 0
    for mutant in MUTANTS:
        started = time.process_time()
        steps, what = found_after(mutant)
        missed += not steps
        spent = time.process_time() - started
        told = f"{mutant.text:42} {steps:6} {spent:6.1f} s  {what[:130]}"
        SHOWN.print(told, highlight=False, markup=False, soft_wrap=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
