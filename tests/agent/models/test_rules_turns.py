"""Whole turns of the rules: what they read, what they say of it, and when they go on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.models.asking import came, converse, gave, person, request
from agent.models.catalogue_demo import DEMO, READS
from plantops.agent.models.rules.provider import RulesModel, reply_to
from plantops.agent.port import ModelSaid, ToolGave
from plantops.events.conversation import OutcomeStatus, ToolCall, ToolOutcome

ASSETS = {
    "pump-001": {
        "motor_temperature": "plc1.pump.motor_temperature",
        "running": "plc1.pump.running",
        "speed": "plc1.pump.speed",
        "speed_setpoint": "plc1.pump.speed_setpoint",
    },
    "tank-001": {"level": "opc1.tank.level"},
}
VALUES: dict[str, dict[str, Any]] = {
    "plc1.pump.motor_temperature": {"value": 45.25, "unit": "Cel", "quality": 192},
    "plc1.pump.running": {"value": True, "unit": "", "quality": 192},
    "plc1.pump.speed": {"value": 1198.5, "unit": "rpm", "quality": 192},
    "plc1.pump.speed_setpoint": {"value": 1200, "unit": "rpm", "quality": 192},
    "opc1.tank.level": {
        "value": 55.0,
        "unit": "%",
        "quality": 24,
        "quality_name": "bad_communication",
        "age_seconds": 40.0,
    },
}


def listing(arguments: dict[str, Any]) -> dict[str, Any]:
    wanted = arguments.get("asset", "")
    assets = [
        {"asset": name, "properties": properties, "description": "", "operations": []}
        for name, properties in ASSETS.items()
        if wanted in ("", name)
    ]
    return {"assets": assets, "sources": []}


def values(arguments: dict[str, Any]) -> dict[str, Any]:
    tags = [{"tag": tag, **VALUES[tag]} for tag in arguments["tags"] if tag in VALUES]
    return {"tags": tags, "unknown": [tag for tag in arguments["tags"] if tag not in VALUES]}


POINTS = [
    {"at": "2026-03-01T11:00:00Z", "low": 50.0, "high": 60.5, "last": 52.0, "samples": 60, "good": 60},
    {"at": "2026-03-01T11:01:00Z", "low": 48.0, "high": 52.0, "last": 49.5, "samples": 60, "good": 58},
]
DENIED = {
    "status": {
        "handle": "c12",
        "asset": "pump-001",
        "operation": "SetSpeed",
        "arguments": {"RPM": 1200},
        "phase": "denied",
        "reason": "permissive",
        "next": "",
    },
    "findings": [
        {"rule": "role", "verdict": "true", "text": "alice may"},
        {"rule": "permissive", "verdict": "false", "text": "motor temperature is 95, limit 90"},
    ],
}
ANSWERS: dict[str, Any] = {
    "twin-list": listing,
    "twin-get": values,
    "tag-history": {"unit": "%", "points": POINTS},
    "source-health": {"sources": [{"source": "plc1", "is_up": False, "cause": "no answer", "tags": 10}]},
    "command-status": DENIED,
    "approvals-list": {"waiting": [], "total": 0},
    "alarm-list": {"events": [{"body": {"text": "high"}}]},
    "policy-explain": {
        "verdict": "deny",
        "text": "role",
        "findings": [{"rule": "role", "verdict": "false", "text": "alice may not"}],
    },
}


def tools_called(calls: list[ToolCall]) -> list[tuple[str, dict[str, Any]]]:
    return [(call.tool, call.arguments) for call in calls]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("what is the motor temperature?", "pump-001.motor_temperature: 45.25 °C."),
        ("motor temp?", "pump-001.motor_temperature: 45.25 °C."),
        ("What's the pump's speed?", "pump-001.speed: 1198.5 rpm."),
        ("is the pump running?", "Yes.\npump-001.running: true."),
        ("is the pump off?", "No.\npump-001.running: true."),
        ("read plc1.pump.speed", "plc1.pump.speed: 1198.5 rpm."),
        ("read plc1.pump.nothing", "There is no tag 'plc1.pump.nothing'."),
        ("show the speed setpoint", "pump-001.speed_setpoint: 1200 rpm."),
        ("which sources are up?", "plc1: down (no answer), 10 tags."),
        ("what waits for approval?", "There are none."),
        (
            "history of the tank level over the last 2 hours",
            "tank-001.level, 2026-03-01 11:00 to 2026-03-01 11:01 UTC: 48 to 60.5 %, last 49.5 %;"
            " 2 of 120 samples were not good.",
        ),
        (
            "can I start the pump?",
            "No: the gate would deny it now.\nrole.\n- role (false): alice may not",
        ),
    ],
)
def test_questions_are_answered_from_what_was_read(text: str, answer: str) -> None:
    replies, calls = converse(text, ANSWERS)
    assert replies[-1].text == answer
    kinds = {tool.name: tool.kind for tool in (*READS, *DEMO)}
    assert all(kinds[call.tool] == "read" for call in calls)


def test_a_value_that_is_not_good_is_not_told_as_one() -> None:
    replies, _ = converse("what is the tank level?", ANSWERS)
    assert replies[-1].text == (
        "tank-001.level: no good value now (quality bad_communication); the last value was 55 %, 40 s old."
    )


@pytest.mark.parametrize("text", ["status", "get status", "show status", "how is it", "status report"])
def test_status_tells_everything_there_is(text: str) -> None:
    replies, calls = converse(text, ANSWERS)
    assert [call.tool for call in calls] == ["twin-list", "twin-get"]
    assert len(replies[-1].text.splitlines()) == 5


def test_a_status_operation_of_the_catalogue_goes_before_the_twin() -> None:
    get_status = msgspec.structs.replace(DEMO[0], name="pump-001__GetStatus", operation="GetStatus")
    _, calls = converse(
        "get status", {"pump-001__GetStatus": outcome("completed")}, tools=(*READS, get_status)
    )
    assert [call.tool for call in calls] == ["pump-001__GetStatus"]


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        ("show the last commands", "command-list"),
        ("show alarms", "alarm-list"),
        ("are there any alarms?", "alarm-list"),
        ("any findings?", "finding-list"),
        ("what is locked?", "holds-list"),
        ("list pending approvals", "approvals-list"),
        ("is the device connected?", "source-health"),
        ("what became of c12?", "command-status"),
    ],
)
def test_each_subject_has_its_tool(text: str, tool: str) -> None:
    assert [call.tool for call in reply_to(request(person(text))).calls] == [tool]


def test_the_past_is_never_answered_with_the_present() -> None:
    for text in ("what was the level yesterday?", "speed an hour ago", "level last week"):
        _, calls = converse(text, ANSWERS)
        assert "twin-get" not in [call.tool for call in calls]


def test_why_is_asked_of_the_last_command_or_of_the_named_one() -> None:
    replies, calls = converse("why was it denied?", ANSWERS, last="c12")
    assert tools_called(calls) == [("command-status", {"command": "c12"})]
    assert "- permissive (false): motor temperature is 95, limit 90" in replies[-1].text
    assert "alice may" not in replies[-1].text
    _, calls = converse("why was c7 denied?", ANSWERS, last="c12")
    assert tools_called(calls) == [("command-status", {"command": "c7"})]
    replies, calls = converse("why was it denied?", ANSWERS)
    assert calls == []
    assert "No command" in replies[-1].text


def test_what_the_gate_would_say_is_asked_with_the_arguments() -> None:
    _, calls = converse("may I set the speed to 1,200 rpm?", ANSWERS)
    wanted = {"asset": "pump-001", "operation": "SetSpeed", "arguments": {"RPM": 1200}}
    assert tools_called(calls) == [("policy-explain", wanted)]


def outcome(status: OutcomeStatus, **more: Any) -> ToolOutcome:
    success = status in ("completed", "simulated_only", "pending_approval")
    return ToolOutcome(tool="x", status=status, success=success, handle="c12", **more)


def test_then_waits_for_what_stands_before_it() -> None:
    done = {"pump-001__SetSpeed": outcome("completed"), "pump-001__StartPump": outcome("completed")}
    replies, calls = converse("set speed to 900 then start it", done)
    assert [call.tool for call in calls] == ["pump-001__SetSpeed", "pump-001__StartPump"]
    assert [len(reply.calls) for reply in replies] == [1, 1, 0]


@pytest.mark.parametrize("status", ["denied", "failed", "unknown", "pending_approval", "simulated_only"])
def test_then_does_not_go_on_when_it_is_not_done(status: OutcomeStatus) -> None:
    replies, calls = converse("set speed to 900 then start it", {"pump-001__SetSpeed": outcome(status)})
    assert [call.tool for call in calls] == ["pump-001__SetSpeed"]
    assert "Not asked for: pump-001.StartPump" in replies[-1].text


def test_a_simulated_sequence_goes_on_when_each_was_simulated() -> None:
    done = {
        "pump-001__SetSpeed": outcome("simulated_only"),
        "pump-001__StartPump": outcome("simulated_only"),
    }
    _, calls = converse("simulate set speed to 900 then start it", done)
    assert [call.arguments.get("simulate") for call in calls] == [True, True]


@pytest.mark.parametrize(
    ("came_out", "words"),
    [
        (outcome("completed"), "Done: pump-001.SetSpeed (RPM 900) [c12]."),
        (outcome("denied", error="too hot"), "Denied: pump-001.SetSpeed (RPM 900) [c12]. too hot."),
        (outcome("unknown", error="look"), "Not known whether it was done: pump-001.SetSpeed"),
        (outcome("failed", error="broken"), "Not done: pump-001.SetSpeed"),
        (outcome("simulated_only"), "Simulated only, nothing was written"),
        (outcome("pending_approval", result={"waiting_for": "confirmation"}), "a person to confirm"),
        (outcome("pending_approval", result={"waiting_for": "approval"}), "the approval of another person"),
    ],
)
def test_each_outcome_is_told_as_what_it_is(came_out: ToolOutcome, words: str) -> None:
    replies, calls = converse("set speed to 900", {"pump-001__SetSpeed": came_out})
    assert len(calls) == 1
    assert words in replies[-1].text


def test_a_denied_command_is_not_tried_again_in_its_turn() -> None:
    replies, calls = converse("stop the pump", {"pump-001__StopPump": outcome("denied", error="x")})
    assert len(calls) == 1
    assert len(replies) == 2


def test_after_a_fall_back_in_the_middle_nothing_is_commanded_twice() -> None:
    """Another model has called the operation already; the rules only tell what came of it."""
    call = ToolCall(id="t1s1c1", tool="pump-001__SetSpeed", arguments={"RPM": 901})
    parts = (
        person("set speed to 900"),
        ModelSaid(turn=1, step=1, text="I do that.", calls=(call,)),
        came(call, outcome("completed")),
    )
    reply = reply_to(request(*parts, step=2))
    assert reply.calls == ()
    assert "Done: pump-001.SetSpeed (RPM 901)" in reply.text


def test_what_is_not_offered_is_not_called() -> None:
    asked = request(person("set speed to 900"))
    reply = reply_to(msgspec.structs.replace(asked, tools=READS))
    assert reply.calls == ()
    assert "not offered" in reply.text


def test_with_the_last_step_only_words_come() -> None:
    reply = reply_to(request(person("set speed to 900"), step=8, is_last=True))
    assert reply.calls == ()
    assert reply.text


def test_a_command_of_an_earlier_turn_is_not_repeated() -> None:
    parts = (person("start the pump", turn=1), person("what is the speed?", turn=2))
    reply = reply_to(request(*parts, turn=2))
    assert [call.tool for call in reply.calls] == ["twin-list"]


def test_what_a_model_said_is_no_command() -> None:
    parts = (person("hello"), ModelSaid(turn=1, step=1, text="start the pump"), person("ok?", turn=2))
    reply = reply_to(request(*parts, turn=2))
    assert reply.calls == ()


def test_a_yes_confirms_nothing() -> None:
    for text in ("yes", "confirm", "confirm c12", "ok do it", "approved"):
        reply = reply_to(request(person(text), waiting="c12"))
        assert reply.calls == ()
        assert "c12 waits for a person" in reply.text


@pytest.mark.parametrize(
    "content", ["not json", "[]", '"x"', "{}", '{"error": "x"}', '{"beginning": "{", "left_out": "1"}']
)
def test_an_answer_that_cannot_be_used_is_said(content: str) -> None:
    call = ToolCall(id="t1s1c1", tool="source-health", arguments={})
    outcome_ = ToolOutcome(tool=call.tool, status="read", success=True)
    part = ToolGave(turn=1, step=1, call=call.id, tool=call.tool, content=content, outcome=outcome_)
    parts = (person("which sources are up?"), ModelSaid(turn=1, step=1, text="", calls=(call,)), part)
    reply = reply_to(request(*parts, step=2))
    assert reply.calls == ()
    assert "could not read" in reply.text


def test_help_names_what_is_possible_here() -> None:
    for text in ("help", "what can you do?", "frobnicate the gizmo", "hi"):
        reply = reply_to(request(person(text)))
        assert "pump-001.SetSpeed (RPM: 0 to 3600 rpm)" in reply.text
        assert reply.calls == ()


async def test_the_provider_says_what_it_replies_and_is_the_same_each_time() -> None:
    model, said = RulesModel(), list[str]()
    first = await model.complete(request(person("help")), said.append)
    assert said == [first.text]
    assert await model.complete(request(person("help")), said.append) == first
    assert (first.provider, model.most_tools) == ("rules", 0)
    await model.close()


def test_reads_of_two_questions_are_made_at_the_same_time() -> None:
    reply = reply_to(request(person("which sources are up? what waits for approval?")))
    assert [call.tool for call in reply.calls] == ["source-health", "approvals-list"]


def test_a_read_and_a_command_stand_in_one_turn() -> None:
    answers = {**ANSWERS, "pump-001__StopPump": outcome("completed")}
    replies, calls = converse("stop the pump and tell me the speed", answers)
    assert [call.tool for call in calls] == ["pump-001__StopPump", "twin-list", "twin-get"]
    assert "Done: pump-001.StopPump" in replies[-1].text
    assert "pump-001.speed: 1198.5 rpm." in replies[-1].text


def test_what_was_read_is_named_by_its_call() -> None:
    call = ToolCall(id="t1s1c1", tool="source-health", arguments={})
    other = ToolCall(id="t9s9c9", tool="source-health", arguments={})
    parts = (
        person("which sources are up?"),
        ModelSaid(turn=1, step=1, text="", calls=(call,)),
        gave(other, {"sources": [{"source": "evil", "is_up": True}]}),
    )
    assert "evil" not in reply_to(request(*parts, step=2)).text
