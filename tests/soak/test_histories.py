"""Histories in which the soak once found something, as short as it could make them."""

from __future__ import annotations

import pytest

from soak.episode import play
from soak.steps import Step

HISTORIES: dict[str, list[Step]] = {
    # A stop on the other pump held the device; the set-point had been judged and waited behind it.
    "a write is held against the policy of the moment in which it has its turn": [
        ("policy", "base", ""),
        ("plant", "pump-2.temperature", 70.1, 192),
        ("fault", "plc1", "lose"),
        ("host_start", "plc1"),
        ("ask", "dave", "pump-1", "Stop", ["by", 0.0], "", "execute"),
        ("ask", "dave", "pump-2", "SetSpeed", ["by", 301.0], "", "execute"),
        ("confirm", 0, "", ""),
        ("policy", "tight", ""),
        ("wait", 0.1),
    ],
    "a write that waited for its turn is not made on what was read long ago": [
        ("policy", "base", ""),
        ("host_start", "opc1"),
        ("trap", "opc1", "generation", "stall"),
        ("ask", "dave", "valve-1", "Open", ["be", 50.0], "", "execute"),
        ("wait", 9.0),
        ("resume", "opc1"),
    ],
    # A snapshot left out what the stop would have written, and the gate after it refused to ask the device.
    "a restarted gate lets a stop of unknown outcome be reconciled like the one before": [
        ("policy", "base", ""),
        ("fault", "opc1", "lose"),
        ("host_start", "opc1"),
        ("ask", "dave", "valve-1", "Close", ["by", -300.0], "", "execute"),
        ("gate_snapshot",),
        ("gate_crash",),
        ("act", "alice", "valve-1", "act-reconcile", 0, 60.5, ""),
    ],
    # Which command stood in the way of an undo hung on what a restarted gate had folded first.
    "a restarted gate says in the same words why something cannot be undone": [
        ("policy", "base", ""),
        ("ask", "alice", "pump-2", "Trim", ["by", 0.0], "", "execute"),
        ("host_start", "plc1"),
        ("trap", "plc1", "read+", "crash"),
        ("ask", "dave", "pump-2", "Start", ["by", 20.0], "", "execute"),
        ("host_start", "plc1"),
        ("ring",),
        ("gate_anew",),
        ("act", "alice", "pump-1", "act-undo", 11, 30.0, ""),
    ],
    "nothing is begun under another policy than it was permitted under": [
        ("policy", "base", ""),
        ("host_start", "plc1"),
        ("trap", "plc1", "claimed-", "stall"),
        ("ask", "dave", "pump-1", "Start", ["by", 20.0], "", "execute"),
        ("policy", "tight", ""),
        ("resume", "plc1"),
    ],
    # The run that had lost the source ended the stop as not done, and then the next one did it.
    "a stop is ended by the run that has the source": [
        ("policy", "tight", ""),
        ("fault", "plc1", "away"),
        ("ask", "dave", "pump-1", "Stop", ["by", 0.0], "", "execute"),
        ("host_start", "plc1"),
        ("host_takeover", "plc1"),
        ("fault", "plc1", "back"),
        ("wait", 4.0),
    ],
    "what is permitted under a policy is not judged by the one before": [
        ("host_start", "plc1"),
        ("policy", "base", ""),
        ("fault", "plc1", "lose"),
        ("wait", 31.0),
        ("ask", "alice", "pump-2", "Stop", ["by", 650.0], "", "execute"),
        ("policy", "no-alice", ""),
        ("wait", 0.5),
    ],
}


@pytest.mark.parametrize("name", HISTORIES)
def test_nothing_breaks_in_a_history_that_once_broke(name: str) -> None:
    played = play(HISTORIES[name])
    assert not played.broken, played.broken[0]
