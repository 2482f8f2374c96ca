"""The reference model: what may be written, in the plainest terms of the written promises.

Written from the guide on commands and approvals, not from the code that it is held against, and without any
of that code's rules. It is told what people really did (`words`), what the log says in public, and what
devices really answered; it answers with the rules that a permit, an act or a write breaks.

Its rules are necessary conditions: what it forbids must not happen; what it lets pass may still be refused.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from soak import doing, permits
from soak.doing import Look
from soak.followers import Standing
from soak.memory import Memory, Permitted, Simulation, Wanted
from soak.words import Ask


class Model(Memory):
    """Every method that judges gives the broken rules, in words; none is good."""

    def simulated(self, command: str, result: str, at: datetime) -> None:
        """The gate told the result of a simulation."""
        generation = self.generations[self.asset_of(command)]
        self.simulations[command] = Simulation(result, at, self.gate.digest, generation)

    def approvals_wanted(self, command: str, decision: str, at: datetime) -> None:
        """The gate asks for approvals."""
        generation = self.generations[self.asset_of(command)]
        self.wanted[command] = Wanted(decision, at, self.gate.digest, generation)

    def raised(self, asset: str, generation: int) -> list[str]:
        """A stop or a lock raised the asset's generation."""
        broken = [] if generation == self.generations[asset] + 1 else ["generation: does not rise by one"]
        self.generations[asset] = max(generation, self.generations[asset])
        return broken

    def escalated(self, command: str, at: datetime) -> list[str]:
        """Others may approve from now on."""
        wanted, standing = self.wanted.get(command), self.gate.standing
        if wanted is None or standing is None:
            return ["escalation: nobody waits for an approval"]
        wanted.escalated = True
        is_early = at < wanted.at + timedelta(seconds=standing.profile.escalate)
        return ["escalation: too early"] if is_early and wanted.policy == self.gate.digest else []

    def permitted(
        self,
        command: str,
        words: tuple[object, ...],
        actor: str,
        at: datetime,
        *,
        safe: bool,
        undoes: str,
        look: Look,
    ) -> list[str]:
        """The gate permitted `words` of `actor`, judged at the broker time `at` upon what `look` shows."""
        standing = self.gate.standing
        if standing is None:
            return ["policy: none is in force"]
        if command in self.permits:
            return ["once: permitted a second time"]
        told: list[tuple[list[str], Ask, Ask]] = []
        for ask in self.genuine(command, standing):
            meant = self.meant(ask, undoes)
            if meant is None or meant.words != words or ask.actor != actor:
                continue
            broken = [*permits.of_asking(ask, meant, at, standing)]
            if not safe:
                broken += permits.of_normal(self, ask, meant, at, standing, look)
            if undoes:
                broken += self._of_undoing(undoes, ask)
            told.append((broken, ask, meant))
        if not told:
            return ["asked: nobody who may speak for this actor asked for these words"]
        broken, ask, meant = min(told, key=lambda each: len(each[0]))
        self._enter(ask, meant, at, standing, safe=safe, undoes=undoes, look=look)
        return broken

    def _enter(
        self, ask: Ask, meant: Ask, at: datetime, standing: Standing, *, safe: bool, undoes: str, look: Look
    ) -> None:
        self.permits[ask.command] = Permitted(
            ask=meant,
            at=at,
            generation=self.generations[ask.asset],
            policy=standing.digest,
            safe=safe,
            until=at + timedelta(seconds=standing.profile.execute),
            moved=doing.distance(meant, look),
            undoes=undoes,
        )
        if ask.confirms in self.simulations:
            self.simulations[ask.confirms].used_by = ask.command

    def _of_undoing(self, undoes: str, ask: Ask) -> list[str]:
        """What is undone has ended, and nothing was written to the asset since."""
        target = self.permits[undoes]
        broken = [] if target.gate_knows_final in ("executed", "failed") else ["undo: it has not ended"]
        on_asset = [command for asset, command in self.writes if asset == ask.asset]
        if on_asset and on_asset[-1] != undoes:
            broken.append(f"undo: {on_asset[-1]} has written since")
        return broken

    def claimed(self, command: str, executor: str) -> list[str]:
        """An executor's claim is stored."""
        permit = self.permits.get(command)
        if permit is None:
            return ["claim: of what nobody permitted"]
        if permit.claimed_by:
            return [f"claim: {permit.claimed_by} has claimed it before"]
        permit.claimed_by = executor
        return []
