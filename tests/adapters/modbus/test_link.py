"""Devices that break the protocol: nothing of what they send is ever taken for a value."""

import asyncio
import logging

import pytest

from plantops.adapters.modbus.connection import ModbusConnection
from plantops.runtime.errors import DeviceProtocolError, DeviceUnavailable
from support.modbus_script import Answer, Script, adu, exception, well
from support.modbus_source import modbus_connection

TRANSACTION = 0x4321

MISFITS: dict[str, tuple[Answer, str]] = {
    "another transaction": (lambda ask: adu(ask, well(ask)[7:], transaction=TRANSACTION), "transaction 4321"),
    "transaction zero": (lambda ask: adu(ask, well(ask)[7:], transaction=0), "transaction 0000"),
    "another protocol": (lambda ask: adu(ask, well(ask)[7:], protocol=1), "protocol id 0001"),
    "another unit": (lambda ask: adu(ask, well(ask)[7:], unit=9), "unit 9"),
    "another function": (lambda ask: adu(ask, b"\x04\x04\0\0\0\0"), "function 4 to function 3"),
    "an unknown function": (lambda ask: adu(ask, b"\x63\0"), "function 99"),
    "too few registers": (lambda ask: adu(ask, b"\x03\x02\0\0"), "4 bytes where 6"),
    "too many registers": (lambda ask: adu(ask, b"\x03\x06" + bytes(6)), "8 bytes where 6"),
    "a wrong byte count": (lambda ask: adu(ask, b"\x03\x02" + bytes(4)), "6 bytes where 6"),
    "bytes behind the reply": (lambda ask: well(ask) + b"\0", "1 bytes more"),
    "two replies": (lambda ask: well(ask) + well(ask), "bytes more"),
    "a length of zero": (lambda ask: adu(ask, well(ask)[7:], length=0), "impossible length"),
    "a length beyond all limits": (lambda ask: adu(ask, well(ask)[7:], length=0xFFFF), "impossible length"),
    "an exception with extra bytes": (lambda ask: adu(ask, b"\x83\x02\0"), "exception reply of 3 bytes"),
    "an exception without a code": (lambda ask: adu(ask, b"\x83"), "impossible length"),
}


@pytest.mark.parametrize("misfit", MISFITS)
async def test_a_reply_that_does_not_fit_ends_the_connection_at_once(
    misfit: str, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.answer, reason = MISFITS[misfit]
    connection = modbus_connection(script.port, "holding:0:uint32", timeout=60)
    await connection.connect()
    with caplog.at_level(logging.WARNING), pytest.raises(DeviceProtocolError, match=reason):
        await connection.read([0])
    script.answer = well
    with pytest.raises((DeviceUnavailable, DeviceProtocolError)):
        await connection.read([0])
    await connection.connect()
    assert [sample.value for sample in await connection.read([0])] == [1]
    await connection.close()
    # The host says once that a device is gone; libraries below it say nothing.
    assert caplog.records == []


@pytest.mark.parametrize("cut", [1, 6, 7, 8, 9, 12])
async def test_a_reply_in_two_pieces_is_one_reply(cut: int, script: Script) -> None:
    connection = modbus_connection(script.port, "holding:7:uint32", timeout=60)
    await connection.connect()
    rest: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def first_piece(request: bytes) -> bytes:
        reply = well(request)
        rest.set_result(reply[cut:])
        return reply[:cut]

    script.answer = first_piece
    reading = asyncio.create_task(connection.read([0]))
    second_piece = await rest
    # Both ends run in this loop: some rounds later the first piece has been read.
    for _round in range(20):
        await asyncio.sleep(0)
    assert not reading.done()
    script.writers[0].write(second_piece)
    assert [sample.value for sample in await reading] == [7 << 16 | 8]
    await connection.close()


async def test_a_connection_reset_under_a_request_is_noticed_before_the_time_out(script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0", timeout=60)
    await connection.connect()
    script.go_on.clear()
    reading = asyncio.create_task(connection.read([0]))
    await script.asked.wait()
    script.writers[0].transport.abort()
    with pytest.raises(DeviceUnavailable, match="closed the connection"):
        await reading
    await connection.close()


async def test_a_cancelled_request_ends_the_connection(script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0", "holding:100")
    await connection.connect()
    script.go_on.clear()
    reading = asyncio.create_task(connection.read([0]))
    await script.asked.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    script.go_on.set()
    with pytest.raises(DeviceUnavailable):
        await connection.read([1])
    await connection.connect()
    assert [sample.value for sample in await connection.read([1])] == [100]
    await connection.close()


async def test_closing_ends_a_request_under_way(script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0", timeout=60)
    await connection.connect()
    script.go_on.clear()
    reading = asyncio.create_task(connection.read([0]))
    await script.asked.wait()
    await connection.close()
    with pytest.raises(DeviceUnavailable, match="is closed"):
        await reading


async def test_a_reply_that_nobody_asked_for_ends_the_connection(script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0", timeout=60)
    await connection.connect()
    assert [sample.value for sample in await connection.read([0])] == [0]
    script.writers[0].write(bytes(11))
    # It comes before the next request, or instead of the reply to it.
    with pytest.raises(DeviceProtocolError):
        await read_for_ever(connection)
    await connection.close()


async def read_for_ever(connection: ModbusConnection) -> None:
    async with asyncio.timeout(10):
        while True:
            await connection.read([0])


async def test_a_device_behind_a_gateway_that_is_gone_is_unavailable(script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0", "holding:50")
    await connection.connect()
    for code in (10, 11):
        script.answer = lambda request, code=code: exception(request, code)  # type: ignore[misc]
        with pytest.raises(DeviceUnavailable, match=f"exception {code}"):
            await connection.read([0, 1])
    await connection.close()
