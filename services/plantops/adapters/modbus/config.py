"""`[connection]` of a Modbus TCP source."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ModbusSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the device is and how large its blocks may be.

    `gap`: how many registers nobody asked for may be read along to save a request (sixteen times as many
    bits). 125 registers and 2,000 bits are the protocol's limits (Modbus Application Protocol 1.1b3, 6.1
    and 6.3); some devices take less. There is no retry here: the host tries again with backoff.
    """

    host: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 502
    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    gap: Annotated[int, Meta(ge=0, le=124)] = 8
    max_registers: Annotated[int, Meta(ge=1, le=125)] = 125
    max_bits: Annotated[int, Meta(ge=1, le=2000)] = 2000
