"""One request to the delegate and its believed answer; knows for certain when nothing was sent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from plantops.adapters.delegate.config import DelegateSettings
from plantops.adapters.delegate.signing import seal
from plantops.runtime.errors import DeviceProtocolError, DeviceUnavailable, SettingsError
from plantops.runtime.http_signing import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    SIMULATE_HEADER,
    SignedRequest,
    SignedResponse,
    SigningKey,
)

# Events of httpcore's trace extension. Whatever is no part of connecting may be a request on its way.
_BEGUN = "connection.connect_tcp.started"
_CONNECTING = "connection."


class NotSent(DeviceUnavailable):
    """The delegate could not be reached: it is certain that it heard nothing of the request."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request below the delegate's address; `url` is whole."""

    method: str
    url: str
    body: bytes = b""
    idempotency_key: str = ""
    simulate: bool = False


class Exchange:
    """A client for one delegate: no proxy, no redirect, no cookie, a connection for each request.

    A connection that was kept could be dead already, and then nobody could say whether the delegate got the
    request.
    """

    def __init__(
        self, source: str, settings: DelegateSettings, key: SigningKey | None, timeout_seconds: float
    ) -> None:
        """Raises: SettingsError when the file of certificates cannot be used."""
        self._source, self._settings, self._key = source, settings, key
        self._client = httpx.AsyncClient(
            verify=_tls(settings),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=timeout_seconds),
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "plantops"},
        )

    async def ask(self, asked: Asked, seconds: float) -> SignedResponse:
        """The response, whose signature fits where there is a key.

        Raises: NotSent; DeviceUnavailable when no answer came in time; DeviceProtocolError for an answer
        that is none, is too long or cannot be believed.
        """
        events: list[str] = []

        async def trace(event: str, _info: Any) -> None:
            events.append(event)

        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                return await self._exchange(asked, trace)
        except (httpx.TransportError, TimeoutError) as error:
            is_unheard = _is_unheard(events)
            cause = str(error) or ("no connection in time" if is_unheard else "no answer in time")
            text = f"delegate {self._settings.url}: {cause}"
            if is_unheard:
                raise NotSent(text, source=self._source) from error
            if isinstance(error, httpx.RemoteProtocolError):
                raise DeviceProtocolError(text, source=self._source) from error
            raise DeviceUnavailable(text, source=self._source) from error

    async def close(self) -> None:
        """End what is under way."""
        await self._client.aclose()

    async def _exchange(self, asked: Asked, trace: Any) -> SignedResponse:
        request = self._client.build_request(
            asked.method, asked.url, content=asked.body or None, extensions={"trace": trace}
        )
        seal_ = seal(
            self._key,
            SignedRequest(
                asked.method,
                request.url.raw_path.decode("ascii"),
                asked.body,
                asked.idempotency_key,
                asked.simulate,
            ),
        )
        if asked.body:
            request.headers["Content-Type"] = "application/json"
        if asked.idempotency_key:
            request.headers[KEY_HEADER] = asked.idempotency_key
        if asked.simulate:
            request.headers[SIMULATE_HEADER] = "true"
        if seal_.header:
            request.headers[SIGNATURE_HEADER] = seal_.header
        reply = await self._client.send(request, stream=True)
        try:
            response = SignedResponse(
                reply.status_code,
                await self._body(reply),
                reply.headers.get("Location", ""),
                reply.headers.get(SIMULATE_HEADER, "") == "true",
            )
        finally:
            await reply.aclose()
        seal_.accept(reply.headers.get(SIGNATURE_HEADER), response)
        return response

    async def _body(self, reply: httpx.Response) -> bytes:
        if reply.headers.get("Content-Encoding", "identity") != "identity":
            raise DeviceProtocolError(
                f"delegate {self._settings.url} answers compressed, which was not asked for",
                source=self._source,
            )
        read = bytearray()
        async for part in reply.aiter_raw():
            read += part
            if len(read) > self._settings.max_body_bytes:
                raise DeviceProtocolError(
                    f"delegate {self._settings.url} answers more than max_body_bytes = "
                    f"{self._settings.max_body_bytes}",
                    source=self._source,
                )
        return bytes(read)


def _is_unheard(events: Sequence[str]) -> bool:
    return _BEGUN in events and all(event.startswith(_CONNECTING) for event in events)


def _tls(settings: DelegateSettings) -> ssl.SSLContext:
    """The machine's own authorities, or only those in the file `ca`."""
    if settings.url.startswith("http:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=settings.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"ca = {settings.ca!r} cannot be used: {error}", setting="ca") from error
