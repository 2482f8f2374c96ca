import asyncio
from collections.abc import Sequence

import pytest

from plantops.adapters.contract import TagSettings
from plantops.adapters.modbus.connection import ModbusConnection
from plantops.events.quality import Quality
from plantops.events.tags import Range
from plantops.runtime.errors import DeviceError, DeviceProtocolError, SettingsError, WriteRejected
from support.modbus_script import Script, adu, exception, refusing, well
from support.modbus_source import modbus_connection


async def qualities(connection: ModbusConnection, tags: Sequence[int]) -> list[int]:
    return [sample.quality for sample in await connection.read(tags)]


# --- blocks


async def test_neighbours_travel_in_one_request(script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0", "holding:8", "holding:100", "coil:3", "coil:90")
    await connection.connect()
    assert [sample.value for sample in await connection.read(range(5))] == [0, 8, 100, True, False]
    assert script.requests == [(3, 0, 9), (3, 100, 1), (1, 3, 88)]
    await connection.close()


async def test_the_limits_of_the_settings_are_kept(script: Script) -> None:
    addresses = [f"input:{place}" for place in range(25)]
    connection = modbus_connection(script.port, *addresses, max_registers=10)
    await connection.connect()
    assert [sample.value for sample in await connection.read(range(25))] == list(range(25))
    assert script.requests == [(4, 0, 10), (4, 10, 10), (4, 20, 5)]
    await connection.close()


async def test_a_refused_address_is_bad_alone_and_not_asked_again_within_a_block(script: Script) -> None:
    addresses = [f"holding:{place}" for place in range(16)]
    connection = modbus_connection(script.port, *addresses)
    script.answer = refusing(2, [5])
    await connection.connect()
    for _cycle in range(2):
        samples = await connection.read(range(16))
        assert [sample.index for sample in samples if sample.quality != Quality.GOOD] == [5]
        assert (samples[5].value, samples[5].quality) == (None, Quality.BAD_CONFIGURATION)
    script.requests.clear()
    await connection.read(range(16))
    assert script.requests == [(3, 0, 5), (3, 6, 10)]
    await connection.close()


async def test_a_hole_that_nobody_asked_for_is_read_around(script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0", "holding:1", "holding:8", "holding:9")
    script.answer = refusing(2, [4])
    await connection.connect()
    assert await qualities(connection, range(4)) == [Quality.GOOD] * 4
    script.requests.clear()
    assert await qualities(connection, range(4)) == [Quality.GOOD] * 4
    assert script.requests == [(3, 0, 2), (3, 8, 2)]
    await connection.close()


async def test_what_was_refused_is_remembered_across_connections(script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0", "holding:1")
    script.answer = refusing(2, [1])
    await connection.connect()
    await connection.read([0, 1])
    await connection.connect()
    script.requests.clear()
    await connection.read([0, 1])
    assert script.requests == [(3, 0, 1)]
    await connection.close()


async def test_a_mended_address_comes_back_by_a_trial(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = asyncio.get_running_loop().time() + 61.0
    connection = modbus_connection(script.port, "holding:0", "holding:1", "holding:2")
    script.answer = refusing(2, [1])
    await connection.connect()
    await connection.read(range(3))
    script.answer = well
    assert await qualities(connection, range(3)) == [Quality.GOOD, Quality.BAD_CONFIGURATION, Quality.GOOD]
    monkeypatch.setattr("plantops.adapters.modbus.connection._now", lambda: late)
    assert await qualities(connection, range(3)) == [Quality.GOOD] * 3
    script.requests.clear()
    assert await qualities(connection, range(3)) == [Quality.GOOD] * 3
    assert script.requests == [(3, 0, 3)]
    await connection.close()


async def test_an_unknown_function_is_asked_once_and_never_halved(script: Script) -> None:
    connection = modbus_connection(script.port, *(f"discrete:{place}" for place in range(20)), "holding:0")
    script.answer = lambda request: exception(request, 1) if request[7] == 2 else well(request)
    await connection.connect()
    for _cycle in range(3):
        assert await qualities(connection, range(21)) == [Quality.BAD_CONFIGURATION] * 20 + [Quality.GOOD]
    assert [function for function, _start, _count in script.requests] == [3, 2, 3, 3]
    await connection.close()


@pytest.mark.parametrize(
    ("code", "quality"),
    [
        (2, Quality.BAD_CONFIGURATION),
        (3, Quality.BAD_CONFIGURATION),
        (4, Quality.BAD_DEVICE_FAILURE),
        (8, Quality.BAD),
        (200, Quality.BAD),
    ],
)
async def test_each_exception_has_its_quality(code: int, quality: Quality, script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0", "holding:1")
    script.answer = refusing(code, [1])
    await connection.connect()
    assert await qualities(connection, [0, 1]) == [Quality.GOOD, quality]
    await connection.close()


@pytest.mark.parametrize("code", [5, 6])
async def test_a_busy_device_is_asked_again_in_the_next_cycle(code: int, script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0", "holding:1")
    script.answer = lambda request: exception(request, code)
    await connection.connect()
    assert await qualities(connection, [0, 1]) == [Quality.BAD_WAITING] * 2
    script.answer = well
    assert await qualities(connection, [0, 1]) == [Quality.GOOD] * 2
    assert script.requests == [(3, 0, 2)] * 2
    await connection.close()


# --- writes


async def test_a_write_goes_between_two_blocks_of_a_running_poll(script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0", "holding:100", "holding:200", "holding:300")
    await connection.connect()
    script.go_on.clear()
    poll = asyncio.create_task(connection.read([0, 1, 2]))
    await script.asked.wait()
    other = asyncio.create_task(connection.read([3]))
    await asyncio.sleep(0)
    write = asyncio.create_task(connection.write(0, 77))
    await asyncio.sleep(0)
    script.go_on.set()
    await asyncio.gather(poll, other, write)
    assert script.requests[:2] == [(3, 0, 1), (6, 0, 77)]
    await connection.close()


@pytest.mark.parametrize("code", [1, 2, 3, 6, 10])
async def test_a_write_is_rejected_when_the_device_did_nothing(code: int, script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0")
    script.answer = lambda request: exception(request, code)
    await connection.connect()
    with pytest.raises(WriteRejected, match=f"exception {code}") as rejected:
        await connection.write(0, 1)
    assert (rejected.value.code, rejected.value.tag, rejected.value.source) == (code, "t0", "device")
    script.answer = well
    await connection.write(0, 1)
    await connection.close()


@pytest.mark.parametrize("code", [4, 5, 8, 11, 77])
async def test_a_write_that_may_have_happened_is_not_called_rejected(code: int, script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0")
    script.answer = lambda request: exception(request, code)
    await connection.connect()
    with pytest.raises(DeviceError, match="read it back") as failed:
        await connection.write(0, 1)
    assert not isinstance(failed.value, WriteRejected)
    await connection.close()


async def test_an_echo_that_differs_is_a_broken_protocol(script: Script) -> None:
    connection = modbus_connection(script.port, "holding:0")
    script.answer = lambda request: adu(request, request[7:11] + b"\x63")
    await connection.connect()
    with pytest.raises(DeviceProtocolError, match="does not repeat"):
        await connection.write(0, 1)
    await connection.close()


async def test_the_wire_carries_what_encode_says(script: Script) -> None:
    connection = modbus_connection(script.port, "holding:9", "coil:4", "holding:20:float32")
    await connection.connect()
    assert connection.encode(0, 513) == "function 6: holding 9 = 0x0201 (uint16 513)"
    await connection.write(0, 513)
    await connection.write(1, True)
    await connection.write(1, False)
    await connection.write(2, 1.5)
    assert script.requests == [(6, 9, 513), (5, 4, 0xFF00), (5, 4, 0), (16, 20, 2)]
    await connection.close()


# --- settings


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        (TagSettings(name="t", address="input:0", writable=True), "cannot be written"),
        (TagSettings(name="t", address="discrete:0", writable=True), "cannot be written"),
        (TagSettings(name="t", address="holding:0:bit.1", writable=True), "cannot be written"),
        (TagSettings(name="t", address="holding:0:string.124", writable=True), "at most 123"),
        (TagSettings(name="t", address="holding:0:string.101"), "max_registers = 100"),
        (
            TagSettings(
                name="t", address="coil:0", raw=Range(low=0, high=1), engineering=Range(low=0, high=5)
            ),
            "cannot be scaled",
        ),
        (
            TagSettings(
                name="t", address="holding:0", raw=Range(low=0, high=1), engineering=Range(low=5, high=5)
            ),
            "engineering range is empty",
        ),
    ],
)
def test_a_tag_that_cannot_work_stops_the_process(tag: TagSettings, reason: str) -> None:
    maximum = 100 if "max_registers" in reason else 125
    with pytest.raises(SettingsError, match=reason):
        modbus_connection(502, tag, max_registers=maximum)
