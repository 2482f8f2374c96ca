"""Tells the simulated plant to fail, through its control port; for the demo and for tests."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from plantops.runtime.errors import Refused


async def tell_plant(port: int, request: dict[str, Any], host: str = "127.0.0.1") -> dict[str, Any]:
    """One request, one answer: the plant's state. Raises: Refused when the plant says no."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(msgspec.json.encode(request) + b"\n")
        await writer.drain()
        answer = msgspec.json.decode(await reader.readline(), type=dict[str, Any])
    finally:
        writer.close()
    if not answer.get("ok"):
        raise Refused(f"the simulated plant refused {request}: {answer.get('error')}", reason="plant")
    state = answer["state"]
    assert isinstance(state, dict)
    return state
