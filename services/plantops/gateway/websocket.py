"""One WebSocket: uvicorn's, with peers that do not read ended.

uvicorn 0.54 waits without bound for a peer to read, and closes a connection only when all was read: who reads
nothing and keeps his end open would keep his stream for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from plantops.gateway.settings import LimitSettings


def socket_class(limits: LimitSettings) -> type[WebSocketsSansIOProtocol]:
    """The class of WebSockets with these limits: uvicorn makes them itself and passes nothing of ours on."""
    return type("LimitedSocket", (Socket,), {"limits": limits})


class Socket(WebSocketsSansIOProtocol):
    """See the module. As for any answer, `body_seconds` without reading are the end."""

    limits: LimitSettings = LimitSettings()
    _ending: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Who does not read what he asked for is not waited for."""
        super().pause_writing()
        self._end_in_time()

    def resume_writing(self) -> None:
        """He reads again."""
        self._go_on()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing of it stays."""
        self._go_on()
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        """He is not there any more, and may never take what waits for him."""
        super().keepalive_timeout()
        self._end_in_time()

    async def send(self, message: Any) -> None:
        """Pass it on; after a good-bye the connection ends even when he does not read that."""
        await super().send(message)
        match message["type"]:
            case "websocket.close":
                self._end_in_time()
            case "websocket.http.response.body" if not message.get("more_body"):
                self.handshake_complete = True  # by a refusal, which uvicorn logs as a defect otherwise

    def _end_in_time(self) -> None:
        if self._ending is None and not self.disconnected:
            self._ending = self.loop.call_later(self.limits.body_seconds, self.transport.abort)

    def _go_on(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
