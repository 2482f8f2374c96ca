"""How many streams each caller has open in one worker: live events, turns of the agent, WebSockets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from plantops.gateway.caller import Caller
from plantops.gateway.problems import RETRY_SECONDS, HttpProblem

_STATE: Final = "streams"


class Streams:
    """The streams of one worker. Workers do not add theirs up."""

    def __init__(self, most: int) -> None:
        """`most`: of one caller."""
        self.most = most
        self._open = Counter[str]()

    def open_of(self, caller: str) -> int:
        """How many he has."""
        return self._open[caller]

    def begin(self, caller: str) -> bool:
        """False where he has as many as he may."""
        if self._open[caller] >= self.most:
            return False
        self._open[caller] += 1
        return True

    def end(self, caller: str) -> None:
        """One of his has ended."""
        self._open[caller] -= 1
        if self._open[caller] <= 0:
            del self._open[caller]


class Held:
    """What one request holds of its caller's streams.

    The front enters it before anything else and leaves it when the request has ended, however that came
    about: a route only takes (`take_stream`), and nothing that it forgets or that fails keeps a place.
    """

    def __init__(self, streams: Streams, refused: Callable[[str], None]) -> None:
        self._streams, self._refused = streams, refused
        self._callers: list[str] = []

    def take(self, caller: str) -> None:
        """Raises: HttpProblem 429."""
        if not self._streams.begin(caller):
            self._refused("stream_limit")
            raise too_many_streams(self._streams.most)
        self._callers.append(caller)

    def put_into(self, state: dict[str, Any]) -> None:
        """Where `take_stream` finds it: the state of the request's ASGI scope."""
        state[_STATE] = self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._callers:
            self._streams.end(self._callers.pop())


def take_stream(state: dict[str, Any], caller: Caller) -> None:
    """Count the request as a stream of its caller, until it has ended. Raises: HttpProblem 429."""
    held = state[_STATE]
    assert isinstance(held, Held)
    held.take(caller.name)


def too_many_streams(most: int) -> HttpProblem:
    """429: one of the caller's own streams must end first; when that is nobody here can know."""
    return HttpProblem(
        429,
        "rate_limited",
        f"you have {most} streams open here, and may not have more: end one first",
        details={"streams": most},
        headers={"Retry-After": RETRY_SECONDS},
    )
