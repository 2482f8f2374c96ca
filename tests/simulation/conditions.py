"""Wait for a condition with a bound."""

import asyncio
from collections.abc import Awaitable, Callable

BOUND_SECONDS = 20.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Raises: TimeoutError when the condition does not come true within the bound."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not await condition():  # noqa: ASYNC110 - what is waited for lives behind a socket
            await asyncio.sleep(0.01)
