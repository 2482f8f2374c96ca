"""An operation that goes on after its first answer: asked for until it ends or its time is over."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from plantops.adapters.contract import Invoked
from plantops.adapters.delegate.codec import Answer, decode_answer
from plantops.adapters.delegate.config import DelegateSettings
from plantops.adapters.delegate.exchange import Asked, Exchange
from plantops.adapters.delegate.place import job_url
from plantops.runtime.errors import DeviceError, DeviceProtocolError, DeviceUnavailable
from plantops.runtime.http_signing import SignedResponse

_ENDED_ELSEWHERE = 302


class Job:
    """Follows one operation.

    Where to ask: `Location` or a job's name (AAS Part 2 answers 202 with Location; asked there it says 200
    with a state, or 302 to the result). It was taken, so no error here means that nothing was started.
    """

    def __init__(self, exchange: Exchange, settings: DelegateSettings, timeout_seconds: float) -> None:
        self._exchange, self._settings, self._timeout = exchange, settings, timeout_seconds

    async def ended(self, first: SignedResponse, url: str, until: float) -> Invoked:
        """How it ended; `first` is the answer to the request, `until` in the loop's time.

        Raises: DeviceUnavailable when its time is over, DeviceProtocolError, DeviceError.
        """
        answer = decode_answer(first.body)
        if first.status == 202 and answer.state != "running":
            answer = replace(answer, state="running")
        if (invoked := answer.ended()) is not None:
            return invoked
        place = job_url(self._settings, first.location, answer.job, url)
        loop = asyncio.get_running_loop()
        cause = "it still runs"
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(self._settings.poll_ms / 1000, left))
            try:
                invoked = await self._look(place, until - loop.time())
            except DeviceUnavailable as error:
                # Only this question failed; the operation may go on, and be heard of with the next.
                cause = error.message if loop.time() < until else cause
                continue
            if invoked is not None:
                return invoked
            cause = "it still runs"
        raise DeviceUnavailable(f"{place}: the operation was taken and did not end in time: {cause}")

    async def _look(self, place: str, left: float) -> Invoked | None:
        response = await self._ask(place, left)
        if response.status != _ENDED_ELSEWHERE:
            return self._answer(place, response).ended()
        result = job_url(self._settings, response.location, "", place)
        invoked = self._answer(result, await self._ask(result, left)).ended()
        if invoked is None:
            raise DeviceProtocolError(f"{result}: the delegate says that it ended, and here that it runs")
        return invoked

    async def _ask(self, url: str, left: float) -> SignedResponse:
        return await self._exchange.ask(Asked("GET", url), min(self._timeout, max(left, 0.0)))

    def _answer(self, url: str, response: SignedResponse) -> Answer:
        if response.status >= 500:
            raise DeviceUnavailable(f"{url} answers {response.status}")
        if response.status != 200:
            raise DeviceError(
                f"{url} answers {response.status}: the operation was taken and nobody tells how it ends"
            )
        return decode_answer(response.body)
