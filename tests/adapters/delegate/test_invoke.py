"""The connection against a delegate written from the guide: it starts once, and says what is certain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from plantops.adapters.contract import Invoked
from plantops.events.command_parts import Invocation
from plantops.runtime.errors import DeviceError, DeviceProtocolError, DeviceUnavailable, WriteRejected
from plantops.simulation.delegate.faults import Fault
from plantops.simulation.delegate.server import DelegateServer
from support.delegates import FLUSH, KEYS, PATIENCE_SECONDS, delegate

FLUSHED = Invoked(state="completed", outputs={"State": "flushed", "Litres": 20.0, "Runs": 1})
IMPATIENT = Invocation(path=FLUSH.path, arguments=FLUSH.arguments, timeout_seconds=0.3)


@pytest.fixture
async def server() -> AsyncIterator[DelegateServer]:
    async with asyncio.timeout(PATIENCE_SECONDS), DelegateServer(KEYS) as running:
        yield running


# --- what is well


async def test_an_operation_is_carried_out_and_tells_its_outputs(server: DelegateServer) -> None:
    connection = delegate(server.url)
    await connection.connect()
    assert await connection.invoke(FLUSH, "c1", simulate=False) == FLUSHED
    request = server.requests[-1]
    assert request.body == (
        b'[{"value":{"modelType":"Property","idShort":"Seconds","valueType":"xs:double","value":"8.0"}}]'
    )
    assert request.headers["idempotency-key"] == "c1"
    assert "plantops-simulate" not in request.headers
    await connection.close()


async def test_a_delegate_that_signs_nothing_is_asked_when_the_settings_say_so() -> None:
    async with DelegateServer({}) as server:
        connection = delegate(server.url, unsigned=True)
        await connection.connect()
        assert await connection.invoke(FLUSH, "c1", simulate=False) == FLUSHED
        assert "plantops-signature" not in server.requests[-1].headers
        await connection.close()


async def test_the_same_command_starts_once_however_often_it_is_sent(server: DelegateServer) -> None:
    connection = delegate(server.url)
    await connection.connect()
    ended = [await connection.invoke(FLUSH, "c1", simulate=False) for _turn in range(3)]
    ended += await asyncio.gather(*(connection.invoke(FLUSH, "c1", simulate=False) for _turn in range(5)))
    assert ended == [FLUSHED] * 8
    assert server.pump.started == ["Flush"]
    await connection.invoke(FLUSH, "c2", simulate=False)
    assert server.pump.started == ["Flush", "Flush"]
    await connection.close()


async def test_a_restarted_executor_finds_the_operation_started_already(server: DelegateServer) -> None:
    first = delegate(server.url)
    await first.connect()
    server.fault = Fault.CUT
    with pytest.raises(DeviceError):
        await first.invoke(FLUSH, "c1", simulate=False)
    await first.close()
    server.fault = Fault.NONE
    second = delegate(server.url)
    await second.connect()
    assert await second.invoke(FLUSH, "c1", simulate=False) == FLUSHED
    assert server.pump.started == ["Flush"]
    await second.close()


# --- simulation


@pytest.mark.parametrize(
    "settings",
    [
        {"simulates": True},
        {"simulates": True, "simulate_by": "query"},
        {"simulate_path": "/simulate"},
    ],
)
async def test_a_simulation_tells_what_would_be_and_moves_nothing(
    server: DelegateServer, settings: dict[str, Any]
) -> None:
    connection = delegate(server.url, **settings)
    await connection.connect()
    long = Invocation(path=FLUSH.path, arguments={"Seconds": 45.0})
    told = await connection.invoke(long, "c1", simulate=True)
    assert told.outputs == {
        "predictedState": "flushed",
        "estimatedTime": 45.0,
        "warnings": "the tank may run empty",
    }
    assert (server.simulations, server.pump.started) == (1, [])
    assert server.requests[-1].headers["idempotency-key"] == "c1.simulation"
    # The execution after it is another thing, although the command is the same.
    assert (await connection.invoke(FLUSH, "c1", simulate=False)).outputs["State"] == "flushed"
    assert server.pump.started == ["Flush"]
    await connection.close()


async def test_nothing_is_sent_to_a_delegate_that_cannot_simulate(server: DelegateServer) -> None:
    connection = delegate(server.url)
    await connection.connect()
    seen = len(server.requests)
    with pytest.raises(WriteRejected, match="cannot simulate"):
        await connection.invoke(FLUSH, "c1", simulate=True)
    assert len(server.requests) == seen
    await connection.close()


async def test_a_delegate_that_acted_instead_of_simulating_is_found_out(server: DelegateServer) -> None:
    server.fault = Fault.IGNORING_SIMULATION
    connection = delegate(server.url, simulates=True)
    await connection.connect()
    with pytest.raises(DeviceProtocolError, match="may really have acted"):
        await connection.invoke(FLUSH, "c1", simulate=True)
    await connection.close()


# --- what went wrong, and what is certain then


async def test_a_refusal_is_certain_when_the_delegate_itself_signed_it(server: DelegateServer) -> None:
    server.fault = Fault.REFUSING
    connection = delegate(server.url)
    await connection.connect()
    with pytest.raises(WriteRejected, match="not now") as refused:
        await connection.invoke(FLUSH, "c1", simulate=False)
    assert refused.value.code == 400
    assert server.pump.started == []
    await connection.close()


async def test_what_the_delegate_does_not_take_is_rejected(server: DelegateServer) -> None:
    connection = delegate(server.url)
    await connection.connect()
    for invocation in (
        Invocation(path="operations/Explode"),
        Invocation(path="operations/Flush", arguments={"Seconds": 8}),
        Invocation(path="nowhere"),
    ):
        with pytest.raises(WriteRejected):
            await connection.invoke(invocation, "c1", simulate=False)
    await connection.close()


async def test_an_absent_delegate_has_certainly_started_nothing() -> None:
    async with DelegateServer(KEYS) as server:
        connection = delegate(server.url)
        await connection.connect()
    with pytest.raises(WriteRejected, match="nothing was started"):
        await connection.invoke(FLUSH, "c1", simulate=False)
    await connection.close()
    with pytest.raises(WriteRejected, match="nothing was started"):
        await connection.invoke(FLUSH, "c1", simulate=False)


async def test_a_delegate_that_took_the_connection_and_is_silent_may_have_started(
    server: DelegateServer,
) -> None:
    connection = delegate(server.url)
    await connection.connect()
    server.fault = Fault.HANGING
    with pytest.raises(DeviceUnavailable) as failed:
        await connection.invoke(IMPATIENT, "c1", simulate=False)
    assert not isinstance(failed.value, WriteRejected)
    assert server.pump.started == ["Flush"]
    await connection.close()


async def test_an_answer_that_comes_late_is_taken_for_nothing_else(server: DelegateServer) -> None:
    connection = delegate(server.url)
    await connection.connect()
    server.fault = Fault.HANGING
    with pytest.raises(DeviceUnavailable):
        await connection.invoke(IMPATIENT, "c1", simulate=False)
    server.fault = Fault.NONE
    server.release()
    stopped = await connection.invoke(Invocation(path="operations/Stop"), "c2", simulate=False)
    assert stopped.outputs["State"] == "stopped"
    await connection.close()


MAY_HAVE_STARTED = [
    Fault.FAILING,
    Fault.CUT,
    Fault.UNSIGNED,
    Fault.WRONG_KEY,
    Fault.WRONG_NONCE,
    Fault.ALTERED,
    Fault.DOUBLED,
    Fault.GARBAGE,
    Fault.NO_JSON,
    Fault.HUGE,
    Fault.REDIRECT,
    Fault.COMPRESSED,
    Fault.REFUSING_UNSIGNED,
]


@pytest.mark.parametrize("fault", MAY_HAVE_STARTED)
async def test_an_answer_that_is_wrong_is_never_success_and_never_called_rejected(
    server: DelegateServer, fault: Fault
) -> None:
    connection = delegate(server.url)
    await connection.connect()
    server.fault = fault
    with pytest.raises(DeviceError) as failed:
        await connection.invoke(FLUSH, "c1", simulate=False)
    assert not isinstance(failed.value, WriteRejected)
    assert server.pump.started == ([] if fault is Fault.REFUSING_UNSIGNED else ["Flush"])
    await connection.close()


async def test_the_signed_answer_to_another_command_is_no_answer_to_this_one(server: DelegateServer) -> None:
    connection = delegate(server.url)
    await connection.connect()
    await connection.invoke(FLUSH, "c1", simulate=False)
    server.fault = Fault.REPLAYED
    with pytest.raises(DeviceProtocolError, match="another request"):
        await connection.invoke(FLUSH, "c2", simulate=False)
    await connection.close()


async def test_closing_in_the_middle_leaves_it_open_what_happened(server: DelegateServer) -> None:
    connection = delegate(server.url)
    await connection.connect()
    server.fault = Fault.HANGING
    running = asyncio.create_task(connection.invoke(FLUSH, "c1", simulate=False))
    await server.arrived.wait()
    await connection.close()
    with pytest.raises((DeviceUnavailable, DeviceProtocolError)):
        await running


# --- being there


async def test_a_delegate_with_another_secret_is_not_there() -> None:
    async with DelegateServer({"pump-2026": "another secret of the same length"}) as server:
        connection = delegate(server.url)
        with pytest.raises(DeviceProtocolError, match="Compare key_id, secret and the clocks"):
            await connection.connect()
        assert server.pump.started == []


async def test_a_sick_delegate_is_not_there(server: DelegateServer) -> None:
    server.fault = Fault.SICK
    with pytest.raises(DeviceUnavailable, match="503"):
        await delegate(server.url).connect()


async def test_a_connection_that_is_never_accepted_is_an_absent_delegate() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        with pytest.raises(DeviceUnavailable):
            await delegate(f"http://127.0.0.1:{full.getsockname()[1]}", timeout=0.3).connect()


async def test_a_proxy_in_the_environment_is_not_asked(
    server: DelegateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    connection = delegate(server.url)
    await connection.connect()
    await connection.close()
