"""The connections of one simulated server, so that it can end all of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Links:
    """One task for each connection; `accept` is what `asyncio.start_server` calls."""

    def __init__(self, serve: Serve, name: Callable[[], str]) -> None:
        self._serve, self._name = serve, name
        self._open: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection until it ends; then it is reset, whatever was still in it."""
        link = asyncio.create_task(self._serve(reader, writer), name=self._name())
        self._open.add(link)

        def ended(link: asyncio.Task[None]) -> None:
            # Here and not in the task: a task that is cancelled before its first step runs none of its code.
            self._open.discard(link)
            writer.transport.abort()

        link.add_done_callback(ended)

    async def cut(self) -> None:
        """End all of them."""
        for link in self._open:
            link.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
