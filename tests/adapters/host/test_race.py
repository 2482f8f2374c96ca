"""Executors that all believe to hold one source's lease: the claim alone decides who writes."""

from __future__ import annotations

from pathlib import Path

from plantops.adapters.host.claims import Claimed, Claims
from plantops.bench.executors import race
from plantops.events import subjects
from plantops.events.command_parts import Permit
from plantops.events.commands import CommandClaimed

EXECUTORS, COMMANDS = 8, 50


async def test_executors_of_one_source_write_each_command_once_with_one_claim_and_one_outcome(
    tmp_path: Path,
) -> None:
    raced = await race(tmp_path, executors=EXECUTORS, commands=COMMANDS, tell=lambda _step: None)
    assert raced.written == dict.fromkeys(range(1, COMMANDS + 1), 1)
    assert raced.claims == raced.outcomes
    assert raced.outcomes.total() == raced.executed == COMMANDS
    assert raced.wrong == ()


class Careless(Claims):
    """Claims as everybody would write them first: look, then say so."""

    async def take(self, permit: Permit) -> Claimed | None:
        if await self.is_taken(permit.command):
            return None
        claim = CommandClaimed(
            site=self._site, command=permit.command, executor=self._me, epoch=1, decision=permit.decision
        )
        subject = subjects.command(self._site, "claimed", self._me, permit.command)
        message = self._signer.message(
            subject, claim, id=f"{self._me}.{permit.command}.claimed", time=self._clock.now_ns()
        )
        return Claimed(claim, await self._bus.publish(message, stream="COMMANDS"))


async def test_the_race_shows_a_claim_without_compare_and_set(tmp_path: Path) -> None:
    raced = await race(tmp_path, executors=EXECUTORS, commands=10, tell=lambda _step: None, claims=Careless)
    assert raced.wrong
    assert raced.written.total() > raced.commands
