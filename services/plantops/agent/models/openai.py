"""Chat completions by the official SDK: the maker's service, and the many local servers that speak the same.

Read from the source of openai 3.54: retries are ours (`max_retries=0`), and a connection that ends in the
middle of a stream is silent, so a reply counts only with a `finish_reason`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx2
import msgspec
from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    OpenAIError,
    omit,
)
from openai.types.chat import (
    ChatCompletionChunk,
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageParam,
)
from openai.types.chat.chat_completion_chunk import ChoiceDelta, ChoiceDeltaToolCall

from plantops.agent.models.failures import TryFailed, TryInVain
from plantops.agent.models.prices import Tokens
from plantops.agent.models.prompt import SYSTEM, data_text, system_text
from plantops.agent.models.schemas import can_be_strict, plain_schema, strict_schema, without_nulls
from plantops.agent.models.settings import ModelSettings
from plantops.agent.models.streaming import Gathered, PartialCall, Sdk, failure
from plantops.agent.port import ModelReply, ModelRequest, ModelSaid, OnText, PersonSaid, Stopped, ToolGave
from plantops.events.conversation import ToolCall
from plantops.events.tooling import ToolListed
from plantops.runtime.secrets import Secret

NAME: Final = "openai"
_NO_KEY: Final = "none"
_STOPPED: Final[Mapping[str, Stopped]] = {
    "stop": "done",
    "tool_calls": "done",
    "length": "length",
    "content_filter": "refused",
}


class OpenAIModel:
    """See the module. Building it opens nothing."""

    name = NAME

    def __init__(self, settings: ModelSettings, key: Secret | None) -> None:
        self._settings = settings
        self.most_tools = settings.most_tools
        self._client = AsyncOpenAI(
            api_key=str(key) if key is not None else _NO_KEY,
            base_url=settings.base_url or "https://api.openai.com/v1",
            timeout=httpx2.Timeout(settings.try_seconds, connect=settings.connect_seconds),
            max_retries=0,
        )

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """One try. Raises: TryFailed."""
        gathered = _Reply()
        most = min(self._settings.max_tokens, request.limits.max_tokens)
        is_other = bool(self._settings.base_url)
        tools = tools_of(request, strict=self._settings.is_strict)
        with _SDK.one_try():
            stream = await self._client.chat.completions.create(
                model=self._settings.model,
                messages=list(messages_of(request)),
                tools=tools or omit,
                # Other servers know the older name only; the maker's newer models only the newer one.
                max_tokens=most if is_other else omit,
                max_completion_tokens=omit if is_other else most,
                stream=True,
                stream_options={"include_usage": True},
            )
            async with stream:
                async for chunk in stream:
                    gathered.take(chunk, on_text)
        return gathered.reply(self._settings)

    async def close(self) -> None:
        await self._client.close()


@dataclass(slots=True)
class _Reply(Gathered):
    tokens: Tokens = field(default_factory=Tokens)
    is_declined: bool = False

    def take(self, chunk: ChatCompletionChunk, on_text: OnText) -> None:
        self.model = chunk.model or self.model
        if chunk.usage is not None:
            details = chunk.usage.prompt_tokens_details
            self.tokens = Tokens(
                input=chunk.usage.prompt_tokens or 0,
                output=chunk.usage.completion_tokens or 0,
                cached=(details.cached_tokens or 0) if details is not None else 0,
            )
        for choice in (chunk.choices or [])[:1]:
            # Some servers send a last chunk without any delta.
            delta: ChoiceDelta | None = choice.delta
            if delta is not None:
                self._delta(delta, on_text)
            self.reason = choice.finish_reason or self.reason
            self.is_whole = bool(self.reason)

    def _delta(self, delta: ChoiceDelta, on_text: OnText) -> None:
        for text in (delta.content, delta.refusal):
            if text:
                self.say(text, on_text)
        self.is_declined = self.is_declined or bool(delta.refusal)
        for piece in delta.tool_calls or ():
            self._piece(piece)

    def _piece(self, piece: ChoiceDeltaToolCall) -> None:
        # Some servers number none of their calls, and send each whole.
        index: int | None = piece.index
        call = self.calls.setdefault(len(self.calls) if index is None else index, PartialCall())
        call.id = piece.id or call.id
        if piece.function is not None:
            call.name = piece.function.name or call.name
            call.pieces.append(piece.function.arguments or "")

    def reply(self, settings: ModelSettings) -> ModelReply:
        """Raises: as `Gathered.reply_of`."""
        calls = (
            ToolCall(id=call.id, tool=call.name, arguments=without_nulls(call.arguments()))
            for _, call in sorted(self.calls.items())
        )
        stopped = "refused" if self.is_declined else _STOPPED.get(self.reason)
        return self.reply_of(NAME, settings, stopped=stopped, calls=calls, tokens=self.tokens)


def messages_of(request: ModelRequest) -> Iterable[ChatCompletionMessageParam]:
    """Instructions, then the conversation."""
    yield {"role": "system", "content": f"{SYSTEM}\n\n{system_text(request)}"}
    for part in request.parts:
        match part:
            case PersonSaid():
                yield {"role": "user", "content": part.text}
            case ModelSaid():
                yield _said(part)
            case ToolGave():
                yield {"role": "tool", "tool_call_id": part.call, "content": data_text(part)}


def tools_of(request: ModelRequest, *, strict: bool) -> list[ChatCompletionFunctionToolParam]:
    """The offered tools by name, so that the same ones give the same bytes."""
    return [_tool(tool, strict=strict) for tool in sorted(request.tools, key=lambda tool: tool.name)]


def _tool(tool: ToolListed, *, strict: bool) -> ChatCompletionFunctionToolParam:
    if strict and can_be_strict(tool):
        return {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": strict_schema(tool, all_required=True),
                "strict": True,
            },
        }
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": plain_schema(tool),
        },
    }


def _said(part: ModelSaid) -> ChatCompletionMessageParam:
    if not part.calls:
        return {"role": "assistant", "content": part.text}
    return {
        "role": "assistant",
        "content": part.text or None,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.tool,
                    "arguments": msgspec.json.encode(call.arguments).decode(),
                },
            }
            for call in part.calls
        ],
    }


def _refused(error: APIStatusError) -> TryFailed:
    told = failure(error.status_code, error.message, error.response.headers)
    # No money left is told with the status of being too fast; another try is in vain.
    return TryInVain(told.message) if error.code == "insufficient_quota" else told


_SDK: Final = Sdk(APITimeoutError, APIConnectionError, APIStatusError, OpenAIError, _refused)
