"""One TCP connection to a device, from its opening to its first fault; one request at a time.

pymodbus brings transport, framing and transaction ids. We add what it leaves open: it takes replies with
transaction id 0 for any request, skips replies that do not fit until a time-out, takes a reply of another
function, and notices a reset connection only after the time-out.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from plantops.adapters.modbus.config import ModbusSettings
from plantops.adapters.modbus.pdu import EXCEPTION_BIT, READ_FUNCTIONS, WRITE_FUNCTIONS
from plantops.runtime.errors import DeviceError, DeviceProtocolError, DeviceUnavailable

# MBAP header: transaction, protocol, length, unit (Messaging on TCP/IP 1.0b, 3.1.3).
_HEADER = 7
_MAX_PDU = 253


class _Request(ModbusPDU):
    """A request whose bytes are ready."""

    def __init__(self, unit: int, pdu: bytes) -> None:
        super().__init__(dev_id=unit)
        self.function_code = pdu[0]
        self._data = pdu[1:]

    def encode(self) -> bytes:
        return self._data


class _Reply(ModbusPDU):
    """A reply that keeps its bytes, since decoding them one register at a time is slow."""

    data: bytes = b""

    def decode(self, data: bytes) -> None:
        self.data = data


# pymodbus finds the class of a reply by its function code.
_REPLIES = tuple(
    type(f"_Reply{function}", (_Reply,), {"function_code": function})
    for function in (*READ_FUNCTIONS.values(), *WRITE_FUNCTIONS)
)


class Link:
    """Dead after the first time-out, cancellation or malformed reply: a late reply finds nobody."""

    def __init__(self, source: str, settings: ModbusSettings, timeout_seconds: float) -> None:
        self._source = source
        self._unit = settings.unit
        self._timeout = timeout_seconds
        self.device = f"{settings.host}:{settings.port} unit {settings.unit}"
        self._sent: bytes | None = None
        self._fault: DeviceError | None = None
        self._deadline: asyncio.Timeout | None = None
        self._client = AsyncModbusTcpClient(
            settings.host,
            port=settings.port,
            # Ours strikes first and closes; the library's would keep the connection.
            timeout=2 * timeout_seconds + 1,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._watch,
            trace_connect=self._changed,
        )
        for reply in _REPLIES:
            self._client.register(reply)

    async def open(self) -> None:
        """Raises: DeviceUnavailable."""
        try:
            async with asyncio.timeout(self._timeout):
                # connect() of the client would log each failure and hide its cause.
                await self._client.ctx.call_create()
        except TimeoutError as error:
            raise self._unavailable(f"no connection within {self._timeout} s") from error
        except OSError as error:
            raise self._unavailable(f"no connection: {error.strerror or error}") from error
        finally:
            if not self._client.connected:
                self.close()

    async def request(self, pdu: bytes) -> bytes:
        """The reply from its function code on, an exception reply included; the next call after it returns.

        Raises: DeviceUnavailable, DeviceProtocolError; the link is closed then.
        """
        if self._fault is not None:
            raise self._fault
        reply: Any = None
        try:
            async with asyncio.timeout(self._timeout) as self._deadline:
                reply = await self._client.execute(False, _Request(self._unit, pdu))
        except TimeoutError as error:
            raise self._fault or self._unavailable(f"no answer within {self._timeout} s") from error
        except ModbusException as error:
            raise self._fault or self._unavailable(str(error)) from error
        finally:
            self._deadline = None
            if reply is None:
                self.close()
        data: bytes = bytes((reply.exception_code,)) if reply.isError() else reply.data
        return bytes((reply.function_code,)) + data

    def close(self) -> None:
        """A request under way ends with DeviceUnavailable."""
        self._fail(self._unavailable("the connection is closed"))
        self._client.close()

    def _watch(self, sending: bool, data: bytes) -> bytes:
        """See every packet; what does not fit is kept from the library, which would go on waiting."""
        if sending:
            self._sent = data
            return data
        sent, reason = self._sent, None
        if sent is None:
            reason = "a reply that nobody asked for"
        elif len(data) >= _HEADER + 1:
            reason = _misfit(sent, data)
            if reason is None and len(data) == _length(data):
                self._sent = None
        if reason is None:
            return data
        self._fail(DeviceProtocolError(f"device {self.device} sent {reason}", source=self._source))
        return b""

    def _changed(self, connected: bool) -> None:
        if not connected:
            self._fail(self._unavailable("the device closed the connection"))

    def _fail(self, fault: DeviceError) -> None:
        if self._fault is None:
            self._fault = fault
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(0)
            self._deadline = None

    def _unavailable(self, reason: str) -> DeviceUnavailable:
        return DeviceUnavailable(f"device {self.device}: {reason}", source=self._source)


def _length(data: bytes) -> int:
    return 6 + int.from_bytes(data[4:6], "big")


def _misfit(sent: bytes, data: bytes) -> str | None:
    """Why the packet is no reply to the one sent; it has at least header and function code."""
    length = _length(data)
    function = data[_HEADER]
    if data[2:4] != b"\0\0":
        return f"protocol id {data[2:4].hex()} instead of 0000: this is not Modbus"
    if not _HEADER + 2 <= length <= _HEADER + _MAX_PDU:
        return f"a packet of the impossible length {length}"
    if len(data) > length:
        return f"{len(data) - length} bytes more than its packet announces"
    if data[:2] != sent[:2]:
        return f"transaction {data[:2].hex()} instead of {sent[:2].hex()}"
    if data[6] != sent[6]:
        return f"a reply of unit {data[6]} instead of {sent[6]}"
    if function & ~EXCEPTION_BIT != sent[_HEADER]:
        return f"a reply of function {function} to function {sent[_HEADER]}"
    if function & EXCEPTION_BIT and length != _HEADER + 2:
        return f"an exception reply of {length - _HEADER} bytes instead of 2"
    return None
