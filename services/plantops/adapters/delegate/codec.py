"""Arguments to what a delegate takes, and what it answers back to values; pure.

Variables are those of AAS Part 1 (OperationVariable of one Property each); results and states those of AAS
Part 2 (OperationResult, ExecutionState), or plain objects where the delegate says it plainly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import msgspec

from plantops.adapters.contract import Invoked
from plantops.events.base import Scalar
from plantops.events.command_parts import Invocation
from plantops.model.xsd import ValueType, from_text, to_text, type_of
from plantops.runtime.errors import DeviceProtocolError, WriteRejected

Body: TypeAlias = Literal["list", "request", "plain"]

# AAS Part 1, constraint AASd-002: letters, digits and underscores, a letter first.
_ID_SHORT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
_MAX_MESSAGE: Final = 500
# A few thousand brackets end the decoder by RecursionError.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_STATES: Final[dict[str, Literal["running", "completed", "failed"]]] = {
    "initiated": "running",
    "running": "running",
    "completed": "completed",
    "failed": "failed",
    "canceled": "failed",
    "cancelled": "failed",
    "timeout": "failed",
}


class _Property(msgspec.Struct, rename="camel", kw_only=True):
    model_type: str
    id_short: str
    value_type: str
    value: str | None = None


class _Variable(msgspec.Struct):
    value: _Property


class _Told(msgspec.Struct):
    """A message of AAS Part 2."""

    text: str = ""


class _Result(msgspec.Struct, rename="camel", kw_only=True):
    execution_state: str = ""
    status: str = ""
    success: bool | None = None
    job_id: str = ""
    handle_id: str = ""
    output_arguments: list[_Variable] | None = None
    inoutput_arguments: list[_Variable] | None = None
    simulation_result: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    messages: list[_Told] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an asynchronous delegate says of an operation; `job` names it when it goes on."""

    state: Literal["running", "completed", "failed"]
    outputs: Mapping[str, Scalar]
    message: str = ""
    job: str = ""

    def ended(self) -> Invoked | None:
        """The end of it, None while it runs."""
        if self.state == "running":
            return None
        return Invoked(state=self.state, outputs=self.outputs, message=self.message)


def encode_request(
    invocation: Invocation, body: Body, types: Mapping[str, ValueType], context: bool | None
) -> bytes:
    """The body for `invocation`; `context` is told as `clientContext.simulate`, None leaves it out.

    Raises: WriteRejected naming the argument that its type cannot hold.
    """
    if body == "plain":
        told: dict[str, Any] = {"inputArguments": _plain(invocation.arguments)}
    else:
        variables = [_variable(name, value, types) for name, value in invocation.arguments.items()]
        if body == "list":
            return msgspec.json.encode(variables)
        told = {
            "inputArguments": variables,
            "inoutputArguments": [],
            "clientTimeoutDuration": f"PT{invocation.timeout_seconds:.3f}S",
        }
    if context is not None:
        told["clientContext"] = {"simulate": context}
    return msgspec.json.encode(told)


def decode_variables(body: bytes) -> dict[str, Scalar]:
    """The outputs of a list of OperationVariable. Raises: DeviceProtocolError naming what is wrong in it."""
    return _values(_decoded(body, list[_Variable]))


def decode_answer(body: bytes) -> Answer:
    """A list is a completed operation; an object tells its state; nothing at all means that it runs.

    Raises: DeviceProtocolError for an unknown state, or as `decode_variables`.
    """
    text = body.strip()
    if not text:
        return Answer("running", {})
    if text.startswith(b"["):
        return Answer("completed", decode_variables(body))
    return _answer(_decoded(body, _Result))


def message_of(body: bytes) -> str:
    """What a refusal says, for people: its messages if it has such, else the beginning of its text."""
    try:
        result = msgspec.json.decode(body, type=_Result)
    except _UNREADABLE:
        return body[:_MAX_MESSAGE].decode("utf-8", "replace")
    return _message(result) or body[:_MAX_MESSAGE].decode("utf-8", "replace")


def _answer(result: _Result) -> Answer:
    told = result.execution_state or result.status
    state = _STATES.get(told.lower())
    if state is None:
        raise DeviceProtocolError(f"the delegate tells the state {told[:100]!r}, which nobody knows here")
    if state == "completed" and result.success is False:
        state = "failed"
    plain = result.simulation_result if result.simulation_result is not None else result.result
    if plain is not None and (result.output_arguments or result.inoutput_arguments):
        raise DeviceProtocolError("the delegate tells its outputs in two ways: as arguments and as a result")
    if plain is not None:
        outputs = {name: _plain_value(name, value) for name, value in plain.items()}
    else:
        outputs = _values([*(result.output_arguments or ()), *(result.inoutput_arguments or ())])
    return Answer(state, outputs, _message(result), result.job_id or result.handle_id)


def _message(result: _Result) -> str:
    texts = [told.text for told in result.messages or () if told.text]
    return "; ".join([*texts, *([result.error] if result.error else [])])[:_MAX_MESSAGE]


def _variable(name: str, value: Scalar, types: Mapping[str, ValueType]) -> dict[str, Any]:
    if _ID_SHORT.fullmatch(name) is None:
        raise WriteRejected(f"argument {name!r} can be no idShort: letters, digits and '_', a letter first")
    wanted = types.get(name, type_of(value))
    try:
        text = to_text(value, wanted)
    except ValueError as error:
        raise WriteRejected(f"argument {name!r}: {error}") from error
    return {"value": {"modelType": "Property", "idShort": name, "valueType": wanted, "value": text}}


def _plain(arguments: Mapping[str, Scalar]) -> list[dict[str, Scalar]]:
    for name, value in arguments.items():
        # JSON has no form for them (RFC 8259, 6).
        if isinstance(value, float) and not math.isfinite(value):
            raise WriteRejected(f"argument {name!r}: {value!r} is not finite")
    return [{"idShort": name, "value": value} for name, value in arguments.items()]


def _values(variables: Iterable[_Variable]) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for variable in variables:
        one = variable.value
        name = one.id_short
        if _ID_SHORT.fullmatch(name) is None:
            raise DeviceProtocolError(f"the delegate answers a variable with the idShort {name[:100]!r}")
        if one.model_type != "Property":
            raise DeviceProtocolError(f"output {name!r} is a {one.model_type[:100]!r}, not a Property")
        if name in found:
            raise DeviceProtocolError(f"output {name!r} stands twice in the delegate's answer")
        if one.value is None:
            raise DeviceProtocolError(f"output {name!r} has no value")
        try:
            found[name] = from_text(one.value, one.value_type)
        except ValueError as error:
            raise DeviceProtocolError(f"output {name!r}: {error}") from error
    return found


def _plain_value(name: str, value: Any) -> Scalar:
    """A list of texts, such as warnings, becomes one text of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if not isinstance(value, bool | int | float | str):
        raise DeviceProtocolError(f"output {name!r} is neither a number, a text nor true or false")
    if isinstance(value, float) and not math.isfinite(value):
        raise DeviceProtocolError(f"output {name!r} is not finite")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise DeviceProtocolError(f"output {name!r} does not fit 64 bit")
    return value


def _decoded(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except _UNREADABLE as error:
        raise DeviceProtocolError(f"the delegate's answer cannot be read: {error}") from error
