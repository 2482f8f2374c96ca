"""Operations that go on after the first answer: followed until they end, and never taken for ended before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from plantops.events.command_parts import Invocation
from plantops.runtime.errors import DeviceError, DeviceProtocolError, DeviceUnavailable, WriteRejected
from plantops.simulation.delegate.faults import Fault
from plantops.simulation.delegate.server import DelegateServer
from support.delegates import FLUSH, KEYS, PATIENCE_SECONDS, delegate

SHORT = Invocation(path=FLUSH.path, arguments=FLUSH.arguments, timeout_seconds=0.4)
FLUSHED = {"State": "flushed", "Litres": 20.0, "Runs": 1}


@pytest.fixture
async def by_name() -> AsyncIterator[DelegateServer]:
    """202 with a job's name, plain objects, as many small operation servers do."""
    async with asyncio.timeout(PATIENCE_SECONDS), DelegateServer(KEYS, style="job") as running:
        yield running


@pytest.fixture
async def by_location() -> AsyncIterator[DelegateServer]:
    """202 with Location, then 302 to the result (AAS Part 2)."""
    async with asyncio.timeout(PATIENCE_SECONDS), DelegateServer(KEYS, style="aas") as running:
        yield running


async def test_a_job_with_a_name_is_asked_until_it_ends(by_name: DelegateServer) -> None:
    connection = delegate(by_name.url, protocol="async", body="plain", jobs="/jobs/{id}")
    await connection.connect()
    ended = await connection.invoke(FLUSH, "c1", simulate=False)
    assert (ended.state, ended.outputs) == ("completed", FLUSHED)
    asked = [request.target for request in by_name.requests]
    assert asked == ["/health", "/operations/Flush", "/jobs/job-1", "/jobs/job-1", "/jobs/job-1"]
    assert by_name.requests[1].body == b'{"inputArguments":[{"idShort":"Seconds","value":8.0}]}'
    await connection.close()


@pytest.mark.parametrize("body", ["list", "request"])
async def test_a_job_at_a_location_is_asked_until_it_leads_to_its_result(
    by_location: DelegateServer, body: str
) -> None:
    connection = delegate(by_location.url, protocol="async", body=body)
    await connection.connect()
    ended = await connection.invoke(FLUSH, "c1", simulate=False)
    assert (ended.state, ended.outputs) == ("completed", FLUSHED)
    assert by_location.requests[-1].target == "/operation-results/job-1"
    await connection.close()


async def test_a_repeated_command_finds_the_job_that_runs(by_location: DelegateServer) -> None:
    connection = delegate(by_location.url, protocol="async")
    await connection.connect()
    ended = await asyncio.gather(*(connection.invoke(FLUSH, "c1", simulate=False) for _turn in range(4)))
    assert [one.outputs for one in ended] == [FLUSHED] * 4
    assert by_location.pump.started == ["Flush"]
    await connection.close()


async def test_a_simulation_may_be_answered_at_once_and_plainly(by_name: DelegateServer) -> None:
    connection = delegate(by_name.url, protocol="async", body="plain", simulates=True, simulate_by="context")
    await connection.connect()
    told = await connection.invoke(FLUSH, "c1", simulate=True)
    assert told.outputs == {"predictedState": "flushed", "estimatedTime": 8.0, "warnings": ""}
    assert by_name.pump.started == []
    assert b'"clientContext":{"simulate":true}' in by_name.requests[-1].body
    await connection.close()


async def test_a_job_that_fails_has_failed_with_its_reason(by_location: DelegateServer) -> None:
    by_location.fault = Fault.JOB_FAILS
    connection = delegate(by_location.url, protocol="async")
    await connection.connect()
    ended = await connection.invoke(FLUSH, "c1", simulate=False)
    assert (ended.state, ended.message) == ("failed", "the valve stuck")
    await connection.close()


async def test_one_question_that_fails_is_asked_again(by_location: DelegateServer) -> None:
    by_location.fault = Fault.JOB_HICCUP
    connection = delegate(by_location.url, protocol="async")
    await connection.connect()
    assert (await connection.invoke(FLUSH, "c1", simulate=False)).state == "completed"
    await connection.close()


async def test_a_job_that_does_not_end_in_time_may_still_run(by_location: DelegateServer) -> None:
    by_location.fault = Fault.JOB_HANGS
    connection = delegate(by_location.url, protocol="async")
    await connection.connect()
    with pytest.raises(DeviceUnavailable, match="did not end in time: it still runs"):
        await connection.invoke(SHORT, "c1", simulate=False)
    await connection.close()


async def test_a_delegate_that_goes_while_its_job_runs_has_not_rejected_it() -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), DelegateServer(KEYS, style="aas", looks=10**9) as server:
        connection = delegate(server.url, protocol="async")
        await connection.connect()
        running = asyncio.create_task(connection.invoke(SHORT, "c1", simulate=False))
        await server.arrived.wait()
    with pytest.raises(DeviceError) as failed:
        await running
    assert not isinstance(failed.value, WriteRejected)
    await connection.close()


async def test_a_job_that_nobody_knows_any_more_is_not_a_refusal(by_location: DelegateServer) -> None:
    by_location.fault = Fault.JOB_LOST
    connection = delegate(by_location.url, protocol="async")
    await connection.connect()
    with pytest.raises(DeviceError, match="404") as failed:
        await connection.invoke(FLUSH, "c1", simulate=False)
    assert not isinstance(failed.value, WriteRejected)
    await connection.close()


async def test_no_answer_leads_to_another_server(by_location: DelegateServer) -> None:
    by_location.fault = Fault.ELSEWHERE
    connection = delegate(by_location.url, protocol="async")
    await connection.connect()
    with pytest.raises(DeviceProtocolError, match="not at it"):
        await connection.invoke(FLUSH, "c1", simulate=False)
    await connection.close()


async def test_a_job_nobody_says_where_to_find_is_an_open_outcome(by_name: DelegateServer) -> None:
    connection = delegate(by_name.url, protocol="async")
    await connection.connect()
    with pytest.raises(DeviceProtocolError, match="where to ask"):
        await connection.invoke(FLUSH, "c1", simulate=False)
    await connection.close()


async def test_a_delegate_that_is_not_done_is_not_taken_for_done_in_the_basyx_form(
    by_location: DelegateServer,
) -> None:
    connection = delegate(by_location.url)
    await connection.connect()
    with pytest.raises(DeviceProtocolError, match='protocol = "async"'):
        await connection.invoke(FLUSH, "c1", simulate=False)
    await connection.close()
