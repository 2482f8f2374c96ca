"""An outcome that nobody knows blocks the asset until the device itself was read."""

from __future__ import annotations

import msgspec
import pytest

from plantops.events.commands import CommandPermitted, SafePermitted
from plantops.events.governance import ReconcileOrdered
from plantops.gate import answers
from plantops.gate.forgetting import REMEMBER
from plantops.policy.document import OperationRule
from support.acts_samples import POLICY_OF_ACTS, POSITION, ActStory
from support.gate_samples import VALVE, after

NO_FALLBACK = msgspec.structs.replace(
    POLICY_OF_ACTS, operations={**POLICY_OF_ACTS.operations, "valve-001.SetPosition": OperationRule()}
)


def lost(story: ActStory) -> str:
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    permitted = story.only(CommandPermitted)
    story.lose(permitted)
    assert story.out == []
    return permitted.command


def ordered(story: ActStory, command: str) -> ReconcileOrdered:
    story.act("reconcile", {"command": command}, asset=VALVE)
    return story.only(ReconcileOrdered)


def test_nothing_more_is_let_through_but_stops() -> None:
    story = ActStory(NO_FALLBACK)
    command = lost(story)
    story.ask("Mark", asset=VALVE)
    denied = story.denied(f"unreconciled: what {command}")
    assert denied.decision is not None
    assert denied.decision.circumstances.unreconciled == (command,)
    story.ask("CloseValve", asset=VALVE, blind=True)
    story.one(SafePermitted)


def test_a_stop_of_unknown_outcome_can_be_reconciled_after_a_restart_too() -> None:
    story = ActStory(NO_FALLBACK)
    story.ask("CloseValve", asset=VALVE, blind=True)
    stop = story.one(SafePermitted)
    story.lose(stop)
    story.state = story.gate.load(story.gate.dump(story.state))
    assert ordered(story, stop.command).tags == (POSITION,)


@pytest.mark.parametrize("conclusion", ["written", "not_written", "other"])
def test_the_executor_reads_the_written_tags_and_its_word_closes_the_command(conclusion: str) -> None:
    story = ActStory(NO_FALLBACK)
    command = lost(story)
    order = ordered(story, f"c{story.state.asked[command].sequence}")  # type: ignore[index]
    assert (order.target, order.source, order.tags) == (command, "opc1", (POSITION,))
    told = answers.status(story.state, order.command)
    assert told is not None
    assert told.phase == "ordered"
    story.reconcile(order, conclusion)
    assert conclusion.replace("_", " ") in story.done().text
    told = answers.status(story.state, command)  # type: ignore[arg-type]
    assert told is not None
    assert (told.outcome, told.reconciled) == ("command.outcome_unknown", conclusion)
    story.ask("Mark", asset=VALVE)
    story.only(CommandPermitted)
    story.act("reconcile", {"command": command}, asset=VALVE)
    story.denied("was reconciled already")


def test_only_the_executor_of_the_source_can_say_it() -> None:
    story = ActStory(NO_FALLBACK)
    command = lost(story)
    order = ordered(story, command)
    assert story.reconcile(order, by="adapter-plc1") == []
    story.ask("Mark", asset=VALVE)
    story.denied("unreconciled")
    story.reconcile(order)
    story.done()
    assert story.reconcile(order) == []


def test_a_reconciliation_is_ordered_once_and_can_be_given_up() -> None:
    story = ActStory(NO_FALLBACK)
    command = lost(story)
    order = ordered(story, command)
    story.act("reconcile", {"command": command}, asset=VALVE)
    story.denied("reconciles c1 already" if story.state.asked[command].sequence == 1 else "already")  # type: ignore[index]
    story.ask("CloseValve", asset=VALVE)
    assert story.state.courses[order.command].phase == "ordered"
    story.act("cancel", {"command": order.command}, asset=VALVE)
    story.done()
    second = ordered(story, command)
    story.reconcile(order)  # the executor says it once, and names the first who asked
    assert story.done().command == second.command


def test_what_is_known_is_not_reconciled() -> None:
    story = ActStory(NO_FALLBACK)
    moved = story.positioned()
    story.act("reconcile", {"command": moved}, asset=VALVE)
    story.denied("is known: executed")
    story.act("reconcile", {"command": moved})
    story.denied("is of valve-001")


def test_an_unknown_outcome_is_never_forgotten() -> None:
    story = ActStory(NO_FALLBACK)
    command = lost(story)
    story.publish(after(NO_FALLBACK, expires=story.now + 30 * REMEMBER))
    story.wait(10 * REMEMBER.total_seconds())
    story.ask("Mark", asset=VALVE)
    story.denied("unreconciled")
    story.state = story.gate.load(story.gate.dump(story.state))
    story.ask("Mark", asset=VALVE)
    story.denied("unreconciled")
    order = ordered(story, command)
    assert order.tags == (POSITION,)
    story.reconcile(order)
    story.done()


def test_a_simulated_reconciliation_orders_nothing() -> None:
    story = ActStory(NO_FALLBACK)
    command = lost(story)
    story.act("reconcile", {"command": command}, asset=VALVE, mode="simulate")
    assert not any(isinstance(event, ReconcileOrdered) for event in story.out)
