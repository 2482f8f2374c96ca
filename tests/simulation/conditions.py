"""Wait for a condition with a bound."""

import asyncio
from collections.abc import Awaitable, Callable

BOUND_SECONDS = 20.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Raises: TimeoutError when the condition does not come true within the bound."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)  # noqa: ASYNC110 - the condition lives behind a socket
