"""Acts on a running site, as a person types them."""

from __future__ import annotations

import json
from typing import Any

from support.command_line import plantops, refusal
from support.site import RunningSite


def lines(demo: RunningSite, *words: str, code: int = 0) -> list[dict[str, Any]]:
    """The JSON lines that a command prints."""
    done = plantops(*words, "--folder", demo.root, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def holds(demo: RunningSite) -> dict[str, Any]:
    done = plantops("holds", "--folder", demo.root, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_lock_hangs_until_its_owner_takes_it_off(demo: RunningSite) -> None:
    locked = lines(demo, "lock", "valve-001", "--reason", "seat change")[-1]
    assert (locked["phase"], locked["operation"]) == ("done", "act-lock")
    assert [each["lock"] for each in holds(demo)["lockouts"]] == [locked["command"]]
    refused = plantops("command", "valve-001", "SetPosition", "PERCENT=35", "--folder", demo.root)
    assert refused.returncode == 1
    assert "locked valve-001 out" in refused.stderr
    assert lines(demo, "unlock", locked["handle"])[-1]["phase"] == "done"


def test_what_hangs_nowhere_is_told_before_anything_is_asked(demo: RunningSite) -> None:
    assert "plantops holds" in refusal("unlock", "c999", "--folder", demo.root)
    shown = plantops("holds", "valve-001", "--folder", demo.root)
    assert shown.returncode == 0


def test_a_simulation_is_cancelled_and_confirms_nothing(demo: RunningSite) -> None:
    ready = lines(demo, "command", "pump-001", "StartPump")[-1]
    assert lines(demo, "command", "cancel", ready["handle"])[-1]["phase"] == "done"
    gone = plantops("command", "cancel", ready["handle"], "--folder", demo.root)
    assert "over already" in gone.stderr
    known = plantops("command", "reconcile", ready["handle"], "--folder", demo.root)
    assert "is known" in known.stderr


def test_a_bypass_is_granted_by_another_person_and_ended_by_any(demo: RunningSite) -> None:
    words = ("--minutes", "5", "--reason", "sensor drifts", "--measure", "thermometer by hand")
    asked = lines(demo, "bypass", "pump-001", "motor-cool", *words)[-1]
    assert asked["phase"] == "waiting"
    granted = plantops("approve", asked["handle"], "--as", "bob", "--folder", demo.root)
    assert granted.returncode == 0, granted.stderr
    assert [each["bypass"] for each in holds(demo)["bypasses"]] == [asked["command"]]
    assert lines(demo, "end-bypass", asked["handle"])[-1]["phase"] == "done"
    assert holds(demo)["bypasses"] == []


def test_a_command_is_undone_once(demo: RunningSite) -> None:
    moved = lines(demo, "command", "valve-001", "SetPosition", "PERCENT=35")[-1]
    assert moved["outcome"] == "command.executed"
    back = lines(demo, "command", "undo", moved["handle"])[-1]
    assert (back["operation"], back["outcome"]) == ("act-undo", "command.executed")
    again = plantops("command", "undo", moved["handle"], "--folder", demo.root)
    assert again.returncode == 1
    assert "has written to the asset since" in again.stderr
