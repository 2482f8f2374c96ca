"""A reply that comes in pieces from a provider's official SDK: what its errors mean, and when it is whole.

The SDKs are made alike. Each provider names its classes of errors (`Sdk`), reads its own events into
`Gathered`, and knows its own words for why a model stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import httpx2
import msgspec

from plantops.agent.models.failures import RequestTooLarge, TryFailed, TryInVain, TryLater
from plantops.agent.models.prices import Tokens, usage_of
from plantops.agent.models.settings import ModelSettings
from plantops.agent.models.waiting import retry_after
from plantops.agent.port import ModelReply, OnText, Stopped
from plantops.events.conversation import ToolCall

_TOO_LARGE: Final = (400, 413, 422)
_LATER: Final = (408, 409, 429)

S = TypeVar("S", bound=Exception)


@dataclass(frozen=True, slots=True)
class Sdk(Generic[S]):
    """The errors of one provider's library. `timeout` may be a kind of `connection`; both, and `status`,
    may be kinds of `root`. `refused` says what to do after a status, mostly by `failure`."""

    timeout: type[Exception]
    connection: type[Exception]
    status: type[S]
    root: type[Exception]
    refused: Callable[[S], TryFailed]

    @contextmanager
    def one_try(self) -> Iterator[None]:
        """Raises: TryFailed for whatever the library, its connection or a stream's bytes raise inside."""
        try:
            yield
        except (self.timeout, httpx2.TimeoutException) as error:
            raise TryLater("the model did not answer in time") from error
        except self.connection as error:
            raise TryLater(f"no connection to the model: {error}") from error
        except self.status as error:
            raise self.refused(error) from error
        except httpx2.TransportError as error:
            raise TryLater(f"the connection to the model broke: {type(error).__name__}") from error
        except (self.root, httpx2.HTTPError, ValueError) as error:
            raise TryLater(f"the model's answer cannot be used: {type(error).__name__}") from error


def failure(status: int, reason: str, headers: Mapping[str, str], *, is_busy: bool = False) -> TryFailed:
    """What a status tells to do next. `is_busy`: the provider says beside it that it is too busy."""
    text = f"the model's provider answered {status}: {reason}"
    if status in _LATER or status >= 500 or is_busy:
        return TryLater(text, after_seconds=retry_after(headers))
    return RequestTooLarge(text) if status in _TOO_LARGE else TryInVain(text)


@dataclass(slots=True)
class PartialCall:
    """A call as far as it came; its arguments come in pieces of JSON."""

    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)

    def arguments(self) -> dict[str, Any]:
        """Raises: TryLater when the pieces are no JSON object."""
        try:
            return msgspec.json.decode("".join(self.pieces) or "{}", type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise TryLater(f"the model gave arguments for {self.name!r} that are no JSON object") from error


@dataclass(slots=True)
class Gathered:
    """A streamed reply as far as it came. `reason` is the provider's own word for why the model stopped."""

    model: str = ""
    text: list[str] = field(default_factory=list)
    calls: dict[int, PartialCall] = field(default_factory=dict)
    reason: str = ""
    is_whole: bool = False

    def say(self, text: str, on_text: OnText) -> None:
        """A piece of text, told at once."""
        self.text.append(text)
        on_text(text)

    def reply_of(
        self,
        provider: str,
        settings: ModelSettings,
        *,
        stopped: Stopped | None,
        calls: Iterable[ToolCall],
        tokens: Tokens,
    ) -> ModelReply:
        """The whole reply. `stopped` is what `reason` means, None for one that nobody here knows. `calls`
        are not looked at unless the model was done: what was cut off or declined in the middle of its
        arguments is no call.

        Raises: TryLater when it is not whole, or not what was agreed.
        """
        if not self.is_whole:
            raise TryLater("the model's answer ended in the middle")
        if stopped is None:
            raise TryLater(f"the model stopped for a reason that is not known here: {self.reason!r}")
        return ModelReply(
            text="".join(self.text),
            calls=tuple(calls) if stopped == "done" else (),
            usage=usage_of(tokens, settings.model, settings.prices),
            provider=provider,
            model=self.model or settings.model,
            stopped=stopped,
        )
