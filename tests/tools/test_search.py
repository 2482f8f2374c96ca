"""People find tools by what they mean, and the safe direction whatever they say."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.events.tooling import ToolListed
from plantops.policy.verified import Verified
from plantops.runtime.errors import SettingsError
from plantops.tools.catalogue import Catalogue, Catalogues
from plantops.tools.search import Index
from plantops.tools.words import words_of
from support.gate_samples import PLANT, POLICY
from support.plant_samples import verified
from support.tool_rig import REPEAT, SOME_TOOLS, for_person


def tool(name: str, description: str, *, kind: str = "read", safe: bool = False) -> ToolListed:
    fields = {"name": name, "kind": kind, "description": description, "risk": "low", "arguments": {}}
    return msgspec.convert({**fields, "safe_direction": safe}, ToolListed)


TOOLS = (
    tool("twin-get", "Current values of tags with unit, quality and age."),
    tool("tag-history", "Values of a tag over a time in the past, from the archive."),
    tool("source-health", "Which sources are up, since when, and what they lost."),
    tool("approvals-list", "Commands that wait for the approval of another person."),
    tool("policy-explain", "What the gate would say to an operation, and why."),
    tool("audit-proof", "Proof that a command stands in the audit log."),
    tool("pump-001__SetSpeed", "SetSpeed of pump-001. Sets the speed in rpm. Risk high.", kind="operation"),
    tool("pump-001__StartPump", "StartPump of pump-001. Risk high.", kind="operation"),
    tool("pump-001__StopPump", "StopPump of pump-001. Risk low.", kind="operation", safe=True),
    tool("valve-001__SetPosition", "SetPosition of valve-001. Risk medium.", kind="operation"),
)
ALL = frozenset(one.name for one in TOOLS)
INDEX = Index(TOOLS)


def found(query: str, limit: int = 3, usable: frozenset[str] = ALL) -> list[str]:
    return [one.name for one in INDEX.best(query, limit, usable)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("please halt the pump", "pump-001__StopPump"),
        ("turn pump-001 off", "pump-001__StopPump"),
        ("launch the pump", "pump-001__StartPump"),
        ("make the pump run faster, 1200 rpm", "pump-001__SetSpeed"),
        ("opening of the valve to 40 %", "valve-001__SetPosition"),
        ("is the PLC connection healthy?", "source-health"),
        ("what was the temperature yesterday", "tag-history"),
        ("who has to sign something", "approvals-list"),
        ("why was it denied", "policy-explain"),
        ("is there evidence that it was tampered with", "audit-proof"),
        ("current reading of the sensor", "twin-get"),
    ],
)
def test_tools_are_found_by_what_is_meant(query: str, first: str) -> None:
    assert found(query)[0] == first


@given(st.text(max_size=60), st.integers(1, 10))
def test_what_goes_in_the_safe_direction_is_always_offered(query: str, limit: int) -> None:
    names = found(query, limit)
    assert "pump-001__StopPump" in names
    assert len(names) == len(set(names)) <= limit + 1


@given(st.text(max_size=60))
def test_equal_questions_have_equal_answers(query: str) -> None:
    assert found(query, 10) == [one.name for one in Index(TOOLS).best(query, 10, ALL)]


@pytest.mark.parametrize("query", ["", "???", "the of and", "\u200b", "xyzzy"])
def test_who_asks_for_nothing_known_may_read_and_is_offered_no_other_write(query: str) -> None:
    names = found(query, 10)
    assert [name for name in names if "__" in name] == ["pump-001__StopPump"]
    assert "twin-get" in names


def test_what_may_not_be_used_is_not_found() -> None:
    assert "pump-001__StopPump" not in found("stop the pump", 10, ALL - {"pump-001__StopPump"})


def test_ties_are_broken_by_name() -> None:
    same = [tool(name, "the same words") for name in ("b", "a", "c")]
    names = [one.name for one in Index(same).best("same words", 2, frozenset("abc"))]
    assert names == ["a", "b"]


def test_an_empty_catalogue_finds_nothing() -> None:
    assert Index(()).best("pump", 5, ALL) == []


def test_words_are_split_at_humps_and_digits() -> None:
    assert words_of("SetSpeed of PLC1_pumpMotors") == ["set", "speed", "plc", "1", "pump", "motor"]
    assert words_of("stopping stopped stops stop") == ["stop"] * 4
    assert len(set(words_of("speed speeds"))) == len(set(words_of("valve valves"))) == 1


def test_a_catalogue_is_made_anew_for_another_policy_only() -> None:
    catalogues = Catalogues(SOME_TOOLS, PLANT)
    first = verified(POLICY)
    other = verified(msgspec.structs.replace(POLICY, revision=2))
    assert catalogues.of(first) is catalogues.of(Verified(first.policy, first.digest, b"signed again"))
    assert catalogues.of(other) is not catalogues.of(first)
    assert catalogues.of(other).revision != catalogues.of(first).revision


def test_two_tools_of_one_name_are_noticed_at_the_start() -> None:
    with pytest.raises(SettingsError, match="'repeat'"):
        Catalogue((REPEAT, REPEAT), PLANT, verified(POLICY))


def test_an_operation_is_usable_when_everybody_in_the_chain_may_ask_for_it() -> None:
    catalogue = Catalogue(SOME_TOOLS, PLANT, verified(POLICY))
    assert "pump-001__SetSpeed" in catalogue.usable(for_person("agent", "alice"))
    assert "pump-001__SetSpeed" not in catalogue.usable(for_person("agent", "carol"))
    assert "repeat" in catalogue.usable(for_person("agent", "carol"))
