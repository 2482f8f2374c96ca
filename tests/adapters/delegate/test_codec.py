"""Variables, bodies and answers: exact bytes out, and only what is understood comes in."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.adapters.delegate.codec import decode_answer, decode_variables, encode_request, message_of
from plantops.events.base import Scalar
from plantops.events.command_parts import Invocation
from plantops.model.xsd import from_text, to_text, type_of
from plantops.runtime.errors import DeviceProtocolError, WriteRejected


def invocation(**arguments: Scalar) -> Invocation:
    return Invocation(path="operations/Flush", arguments=arguments, timeout_seconds=30.0)


def prop(name: str = "A", given_type: str = "xs:string", value: Any = "x", **more: Any) -> dict[str, Any]:
    told = {"modelType": "Property", "idShort": name, "valueType": given_type, "value": value, **more}
    return {"value": {key: part for key, part in told.items() if part is not None}}


def test_a_request_is_a_list_of_operation_variables() -> None:
    body = encode_request(invocation(RPM=1200.0, Cycles=3, Dry=True, Note="ü"), "list", {}, None)
    assert json.loads(body) == [
        prop("RPM", "xs:double", "1200.0"),
        prop("Cycles", "xs:long", "3"),
        prop("Dry", "xs:boolean", "true"),
        prop("Note", "xs:string", "ü"),
    ]


def test_an_argument_gets_the_type_that_the_settings_give_it() -> None:
    types: dict[str, Any] = {"RPM": "xs:double", "Cycles": "xs:unsignedByte"}
    body = encode_request(invocation(RPM=1200, Cycles=3.0), "list", types, None)
    assert json.loads(body) == [prop("RPM", "xs:double", "1200.0"), prop("Cycles", "xs:unsignedByte", "3")]


def test_the_request_object_tells_the_time_that_it_may_take_and_whether_it_is_a_simulation() -> None:
    assert json.loads(encode_request(invocation(A="x"), "request", {}, None)) == {
        "inputArguments": [prop()],
        "inoutputArguments": [],
        "clientTimeoutDuration": "PT30.000S",
    }
    told = json.loads(encode_request(invocation(), "plain", {}, True))
    assert told == {"inputArguments": [], "clientContext": {"simulate": True}}


@pytest.mark.parametrize(
    ("arguments", "types"),
    [
        ({"A": math.nan}, {}),
        ({"A": math.inf}, {}),
        ({"A": 2**64}, {}),
        ({"A": 256}, {"A": "xs:unsignedByte"}),
        ({"A": 1.5}, {"A": "xs:int"}),
        ({"A": 2**53 + 1}, {"A": "xs:double"}),
        ({"A": 1e39}, {"A": "xs:float"}),
        ({"A": 10**400}, {"A": "xs:double"}),
        ({"A": "5"}, {"A": "xs:int"}),
        ({"A": True}, {"A": "xs:int"}),
        ({"A": 1}, {"A": "xs:boolean"}),
        ({"A": 1}, {"A": "xs:string"}),
        ({"ä b": 1}, {}),
    ],
)
def test_an_argument_that_its_type_cannot_hold_is_rejected_by_its_name(
    arguments: dict[str, Scalar], types: dict[str, Any]
) -> None:
    with pytest.raises(WriteRejected, match=repr(next(iter(arguments)))):
        encode_request(invocation(**arguments), "list", types, None)


def test_plain_values_have_no_form_for_what_is_not_finite() -> None:
    with pytest.raises(WriteRejected, match="'A'"):
        encode_request(invocation(A=math.nan), "plain", {}, None)


@given(
    st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    )
)
def test_a_value_comes_back_as_it_went(value: Scalar) -> None:
    kind = type_of(value)
    back = from_text(to_text(value, kind), kind)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("given_type", "text", "value"),
    [
        ("xs:double", "1200", 1200.0),
        ("xs:double", " -1.5E-3\n", -0.0015),
        ("xs:decimal", "+.5", 0.5),
        ("xs:int", "007", 7),
        ("xs:boolean", "1", True),
        ("xs:boolean", "false", False),
        ("xs:string", " as it is ", " as it is "),
        ("xs:dateTime", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    ],
)
def test_an_output_is_read_by_its_type(given_type: str, text: str, value: Scalar) -> None:
    found = decode_variables(json.dumps([prop("Out", given_type, text)]).encode())
    assert found == {"Out": value}
    assert type(found["Out"]) is type(value)


@pytest.mark.parametrize(
    ("given_type", "text"),
    [
        ("xs:double", "NaN"),
        ("xs:double", "INF"),
        ("xs:double", "-INF"),
        ("xs:double", "1e999"),
        ("xs:double", "1,200"),
        ("xs:double", "1_200"),
        ("xs:double", "\N{ARABIC-INDIC DIGIT THREE}"),
        ("xs:double", ""),
        ("xs:int", "1.0"),
        ("xs:int", "2147483648"),
        ("xs:int", "\N{FULLWIDTH DIGIT ONE}"),
        ("xs:positiveInteger", "0"),
        ("xs:integer", "9223372036854775808"),
        ("xs:integer", "9" * 5000),
        ("xs:boolean", "True"),
        ("xs:boolean", "yes"),
        ("xs:hexBinary", "00"),
        ("double", "1"),
        ("", "1"),
    ],
)
def test_an_output_that_is_not_of_its_type_is_an_error_with_its_name(given_type: str, text: str) -> None:
    with pytest.raises(DeviceProtocolError, match="'Out'"):
        decode_variables(json.dumps([prop("Out", given_type, text)]).encode())


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ([prop("A"), prop("A")], "'A' stands twice"),
        ([prop("A", value=None)], "'A' has no value"),
        ([prop("A", value=5)], r"\[0\].value.value"),
        ([prop("A", valueType=None)], "valueType"),
        ([prop("1A")], "'1A'"),
        ([prop("")], "''"),
        ([prop("A", modelType="Range")], "'A' is a 'Range'"),
        ([{"idShort": "A", "value": 1}], r"\[0\]"),
        ([{}], r"\[0\]"),
        ({"value": []}, "array"),
        ("text", "array"),
        (None, "array"),
    ],
)
def test_a_malformed_answer_is_an_error_that_says_where(told: Any, named: str) -> None:
    with pytest.raises(DeviceProtocolError, match=named):
        decode_variables(json.dumps(told).encode())


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"[", b"<html>", b'[{"value":{"value":NaN}}]', b"[" * 5000]
)
def test_what_is_no_json_is_an_error(body: bytes) -> None:
    with pytest.raises(DeviceProtocolError):
        decode_variables(body)


# --- asynchronous answers


def test_states_of_both_families_are_known_and_others_are_not() -> None:
    for told, state in (
        ({"executionState": "Initiated", "jobId": "j1"}, "running"),
        ({"executionState": "Running"}, "running"),
        ({"status": "RUNNING"}, "running"),
        ({"executionState": "Completed", "success": True}, "completed"),
        ({"executionState": "Completed", "success": False}, "failed"),
        ({"status": "FAILED", "error": "stuck"}, "failed"),
        ({"executionState": "Canceled"}, "failed"),
        ({"executionState": "Timeout"}, "failed"),
    ):
        assert decode_answer(json.dumps(told).encode()).state == state
    for unknown in ({}, {"executionState": "Done"}, {"status": ""}, {"success": True}):
        with pytest.raises(DeviceProtocolError, match="state"):
            decode_answer(json.dumps(unknown).encode())


def test_an_empty_answer_means_that_it_runs_and_never_that_it_ended() -> None:
    assert decode_answer(b" ").state == "running"


def test_outputs_and_inoutputs_are_told_together_and_may_not_collide() -> None:
    told = {
        "executionState": "Completed",
        "outputArguments": [prop("A")],
        "inoutputArguments": [prop("B", "xs:int", "5")],
    }
    assert decode_answer(json.dumps(told).encode()).outputs == {"A": "x", "B": 5}
    told["inoutputArguments"] = [prop("A")]
    with pytest.raises(DeviceProtocolError, match="twice"):
        decode_answer(json.dumps(told).encode())


@pytest.mark.parametrize("value", [None, {"a": 1}, [1, 2], 2**70, ["a", None]])
def test_a_plain_output_that_is_no_value_is_an_error_with_its_name(value: Any) -> None:
    told = {"executionState": "Completed", "result": {"Out": value}}
    with pytest.raises(DeviceProtocolError, match="'Out'"):
        decode_answer(json.dumps(told).encode())


def test_a_result_told_twice_is_an_error() -> None:
    told = {"executionState": "Completed", "result": {"A": 1}, "outputArguments": [prop()]}
    with pytest.raises(DeviceProtocolError, match="two ways"):
        decode_answer(json.dumps(told).encode())


def test_a_refusal_is_told_in_its_own_words_and_bounded() -> None:
    assert message_of(b'{"messages":[{"text":"too hot"},{"text":"wait"}]}') == "too hot; wait"
    assert message_of(b"\xffplain") == "\ufffdplain"
    assert len(message_of(b"x" * 10_000)) == 500


@pytest.mark.parametrize("form", [b'{"status":"completed","result":{"a":%s}}', b'[{"value":%s}]'])
def test_an_answer_nested_too_deep_is_unreadable_and_ends_nobody(form: bytes) -> None:
    deep = b"[" * 20_000 + b"]" * 20_000
    with pytest.raises(DeviceProtocolError, match="cannot be read"):
        decode_answer(form % deep)
    assert message_of(form % deep).startswith(form[:5].decode())
