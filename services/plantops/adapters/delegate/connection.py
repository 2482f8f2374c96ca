"""One delegate behind the adapter contract."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from plantops.adapters.contract import Browsed, Invoked, Secrets, Sink
from plantops.adapters.delegate.codec import decode_variables, encode_request, message_of
from plantops.adapters.delegate.config import DelegateSettings, check
from plantops.adapters.delegate.exchange import Asked, Exchange, NotSent
from plantops.adapters.delegate.job import Job
from plantops.adapters.delegate.place import operation_url
from plantops.adapters.delegate.signing import key_of
from plantops.events.base import Scalar
from plantops.events.command_parts import Invocation
from plantops.events.frames import Sample
from plantops.events.tags import SourceDefined
from plantops.runtime.errors import (
    DeviceError,
    DeviceProtocolError,
    DeviceUnavailable,
    SettingsError,
    WriteRejected,
)
from plantops.runtime.http_signing import SignedResponse, SigningKey

# With these the delegate says that it did not begin. Not 408, 409, 423 and 425, which may mean that it is at
# it already, and nothing from 500 on, which may come after the beginning; 501 says that it cannot.
_NOTHING_STARTED = frozenset({400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 422, 429, 501})


class DelegateConnection:
    """See `Invoker`: operations, and no tags. It is there while its health address answers well."""

    def __init__(
        self,
        definition: SourceDefined,
        settings: DelegateSettings,
        timeout_seconds: float,
        key: SigningKey | None,
    ) -> None:
        self._source, self._settings, self._timeout = definition.source, settings, timeout_seconds
        self._groups = range(len(definition.groups))
        self._period = min(group.period_ms for group in definition.groups) / 1000
        self._key = key
        self._exchange: Exchange | None = None
        self._watch: asyncio.Task[None] | None = None
        self._invoking = 0

    async def connect(self) -> None:
        await self.close()
        exchange = Exchange(self._source, self._settings, self._key, self._timeout)
        try:
            await self._look(exchange)
        except BaseException:
            await exchange.close()
            raise
        self._exchange = exchange

    async def close(self) -> None:
        watch, self._watch = self._watch, None
        exchange, self._exchange = self._exchange, None
        if watch is not None and watch is not asyncio.current_task():
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
        if exchange is not None:
            await exchange.close()

    async def read(self, tags: Sequence[int]) -> list[Sample]:
        if self._exchange is None:
            raise self._absent()
        assert not tags, "a delegate has no tags"
        return []

    def encode(self, tag: int, value: Scalar) -> str:
        raise self._no_tags()

    async def write(self, tag: int, value: Scalar) -> None:
        raise self._no_tags()

    async def subscribe(self, sink: Sink) -> None:
        """Look after the delegate every period of the shortest group; there is nothing else to tell."""
        if self._exchange is None:
            raise self._absent()
        self._confirm(sink)
        self._watch = asyncio.create_task(self._keep_looking(self._exchange, sink))

    def browse(self) -> AsyncIterator[Browsed]:
        raise NotImplementedError("a delegate does not tell what it can do: see Capabilities")

    async def invoke(self, invocation: Invocation, key: str, simulate: bool) -> Invoked:
        until = asyncio.get_running_loop().time() + invocation.timeout_seconds
        asked = self._asked(invocation, key, simulate)
        if self._exchange is None:
            raise WriteRejected(f"{self._absent().message}: nothing was started", source=self._source)
        exchange = self._exchange
        self._invoking += 1
        try:
            response = await self._begin(exchange, asked, invocation.timeout_seconds)
            self._check_begun(response, simulate)
            if self._settings.protocol == "basyx":
                return self._outputs(response)
            return await Job(exchange, self._settings, self._timeout).ended(response, asked.url, until)
        finally:
            self._invoking -= 1

    async def _begin(self, exchange: Exchange, asked: Asked, seconds: float) -> SignedResponse:
        try:
            return await exchange.ask(asked, seconds)
        except NotSent as error:
            raise WriteRejected(f"{error.message}: nothing was started", source=self._source) from error

    def _asked(self, invocation: Invocation, key: str, simulate: bool) -> Asked:
        settings = self._settings
        if simulate and not settings.can_simulate:
            raise WriteRejected(
                f"this delegate cannot simulate ({settings.url}): nothing was sent. If it can, set simulates "
                "= true in its source file; if it cannot, it would really act",
                source=self._source,
            )
        by_context = settings.simulate_by == "context"
        return Asked(
            "POST",
            operation_url(settings, invocation.path, simulate),
            encode_request(invocation, settings.body, settings.types, simulate if by_context else None),
            # Two things: a delegate that knows the key must not take the one for a repetition of the other.
            f"{key}.simulation" if simulate else key,
            simulate,
        )

    def _check_begun(self, response: SignedResponse, simulate: bool) -> None:
        """Raises: WriteRejected when nothing began; DeviceError when nobody can say what did."""
        status = response.status
        told = f"delegate {self._settings.url} answered {status}: {message_of(response.body)!r}"
        if status in _NOTHING_STARTED:
            raise WriteRejected(told, source=self._source, code=status)
        if not 200 <= status < 300:
            raise DeviceError(f"{told}: it may have begun, look at the asset", source=self._source)
        must_say = self._settings.simulate_by == "header" and not self._settings.simulate_path
        if response.simulated and not simulate:
            raise DeviceProtocolError(
                f"delegate {self._settings.url} says that it only simulated what it was to do",
                source=self._source,
            )
        if simulate and must_say and not response.simulated:
            raise DeviceProtocolError(
                f"delegate {self._settings.url} does not say that it only simulated: it may really have "
                "acted. Look at the asset, and set simulates = false",
                source=self._source,
            )

    def _outputs(self, response: SignedResponse) -> Invoked:
        if response.status != 200:
            raise DeviceProtocolError(
                f"delegate {self._settings.url} answered {response.status}, 200 was due: use protocol = "
                '"async" for one that answers before it has ended',
                source=self._source,
            )
        return Invoked(state="completed", outputs=decode_variables(response.body))

    async def _keep_looking(self, exchange: Exchange, sink: Sink) -> None:
        while True:
            await asyncio.sleep(self._period)
            # Some delegates do one thing at a time; while one is at it, its operation has its own deadline.
            if self._invoking:
                continue
            try:
                await self._look(exchange)
            except DeviceError as error:
                if self._invoking:
                    continue
                sink.lost(error.message)
                return
            self._confirm(sink)

    async def _look(self, exchange: Exchange) -> None:
        """Raises: DeviceUnavailable, DeviceProtocolError.

        Credentials that are refused are no SettingsError here: anybody on the way could stop the process so.
        """
        url = self._settings.url.rstrip("/") + self._settings.health
        response = await exchange.ask(Asked("GET", url), self._timeout)
        if response.status in (401, 403):
            raise DeviceUnavailable(
                f"delegate {url} refuses us ({response.status}): compare key_id, secret and the clocks",
                source=self._source,
            )
        if not 200 <= response.status < 300:
            raise DeviceUnavailable(f"delegate {url} answers {response.status}", source=self._source)

    def _confirm(self, sink: Sink) -> None:
        now = time.time_ns()
        for group in self._groups:
            sink.confirm(group, now)

    def _absent(self) -> DeviceUnavailable:
        return DeviceUnavailable(
            f"delegate {self._settings.url} is not connected: connect first", source=self._source
        )

    def _no_tags(self) -> WriteRejected:
        return WriteRejected("a delegate has operations and no tags to write", source=self._source)


def build(
    definition: SourceDefined, settings: DelegateSettings, timeout_seconds: float, secrets: Secrets
) -> DelegateConnection:
    """Raises: SettingsError."""
    check(settings)
    if definition.tags:
        raise SettingsError(
            f"source {definition.source!r} has tags, a delegate has none: take them out", setting="tags"
        )
    return DelegateConnection(definition, settings, timeout_seconds, key_of(settings, secrets))
