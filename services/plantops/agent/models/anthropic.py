"""Claude by the official SDK: one streamed request per reply, no loop and no retry of its own.

Read from the source of anthropic 2.12: there is no temperature any more, `strict` stands in the tool,
errors in a stream come as status errors, and the end of the connection in the middle of a stream is silent.
So a reply counts only when `message_stop` came.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

import httpx2
from anthropic import (
    AnthropicError,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncAnthropic,
    omit,
)
from anthropic.types import (
    CacheControlEphemeralParam,
    ContentBlockParam,
    MessageParam,
    RawMessageStreamEvent,
    TextBlockParam,
    ToolParam,
    ToolResultBlockParam,
)

from plantops.agent.models.failures import TryFailed
from plantops.agent.models.prices import Tokens
from plantops.agent.models.prompt import SYSTEM, data_text, system_text
from plantops.agent.models.schemas import can_be_strict, plain_schema, strict_schema
from plantops.agent.models.settings import ModelSettings
from plantops.agent.models.streaming import Gathered, PartialCall, Sdk, failure
from plantops.agent.port import ModelReply, ModelRequest, ModelSaid, OnText, PersonSaid, Stopped, ToolGave
from plantops.events.conversation import ToolCall
from plantops.events.tooling import ToolListed
from plantops.runtime.secrets import Secret

NAME: Final = "anthropic"
_KEEP: Final[CacheControlEphemeralParam] = {"type": "ephemeral"}
_STOPPED: Final[Mapping[str, Stopped]] = {
    "end_turn": "done",
    "stop_sequence": "done",
    "tool_use": "done",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}


class AnthropicModel:
    """See the module. Building it opens nothing."""

    name = NAME

    def __init__(self, settings: ModelSettings, key: Secret) -> None:
        self._settings = settings
        self.most_tools = settings.most_tools
        self._client = AsyncAnthropic(
            api_key=str(key),
            base_url=settings.base_url or "https://api.anthropic.com",
            timeout=httpx2.Timeout(settings.try_seconds, connect=settings.connect_seconds),
            max_retries=0,
            open_telemetry=False,
        )

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """One try. Raises: TryFailed."""
        gathered = _Reply()
        tools = tools_of(request, strict=self._settings.is_strict)
        with _SDK.one_try():
            stream = await self._client.messages.create(
                model=self._settings.model,
                max_tokens=min(self._settings.max_tokens, request.limits.max_tokens),
                system=_system(request),
                messages=list(messages_of(request)),
                tools=tools or omit,
                tool_choice=omit if request.tools or not tools else {"type": "none"},
                stream=True,
            )
            async with stream:
                async for event in cast("AsyncIterator[RawMessageStreamEvent]", stream):
                    gathered.take(event, on_text)
        return gathered.reply(self._settings)

    async def close(self) -> None:
        await self._client.close()


@dataclass(slots=True)
class _Reply(Gathered):
    """`tokens` are the last counts by their kinds."""

    tokens: dict[str, int] = field(default_factory=dict)

    def take(self, event: RawMessageStreamEvent, on_text: OnText) -> None:
        match event.type:
            case "message_start":
                self.model = event.message.model
                self._count(event.message.usage)
            case "content_block_start" if event.content_block.type == "tool_use":
                self.calls[event.index] = PartialCall(event.content_block.id, event.content_block.name)
            case "content_block_start" if event.content_block.type == "text" and event.content_block.text:
                self.say(event.content_block.text, on_text)
            case "content_block_delta" if event.delta.type == "text_delta":
                self.say(event.delta.text, on_text)
            case "content_block_delta" if event.delta.type == "input_json_delta":
                self.calls[event.index].pieces.append(event.delta.partial_json)
            case "message_delta":
                self.reason = event.delta.stop_reason or ""
                self._count(event.usage)
            case "message_stop":
                self.is_whole = True

    def reply(self, settings: ModelSettings) -> ModelReply:
        """Raises: as `Gathered.reply_of`."""
        calls = (
            ToolCall(id=call.id, tool=call.name, arguments=call.arguments()) for call in self.calls.values()
        )
        tokens = Tokens(
            input=sum(self.tokens.get(name, 0) for name in _INPUTS),
            output=self.tokens.get("output_tokens", 0),
            cached=self.tokens.get("cache_read_input_tokens", 0),
            written=self.tokens.get("cache_creation_input_tokens", 0),
        )
        return self.reply_of(NAME, settings, stopped=_STOPPED.get(self.reason), calls=calls, tokens=tokens)

    def _count(self, usage: object) -> None:
        """The last count of each kind holds: the end tells all of the output."""
        for name in (*_INPUTS, "output_tokens"):
            count = getattr(usage, name, None)
            if isinstance(count, int):
                self.tokens[name] = count


_INPUTS: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def messages_of(request: ModelRequest) -> Iterable[MessageParam]:
    """The conversation. Results of one reply's calls stand in one message, as the interface demands."""
    results: list[ToolResultBlockParam] = []
    for part in request.parts:
        if results and not isinstance(part, ToolGave):
            yield {"role": "user", "content": results}
            results = []
        match part:
            case PersonSaid():
                yield {"role": "user", "content": part.text or "(nothing)"}
            case ModelSaid():
                yield {"role": "assistant", "content": list(_said(part))}
            case ToolGave():
                results.append(
                    {
                        "type": "tool_result",
                        "tool_use_id": part.call,
                        "content": data_text(part),
                        "is_error": not part.outcome.success,
                    }
                )
    if results:
        results[-1]["cache_control"] = _KEEP
        yield {"role": "user", "content": results}


def tools_of(request: ModelRequest, *, strict: bool) -> list[ToolParam]:
    """The offered tools by name, so that the same ones give the same bytes; what was called before is named
    as long as the conversation shows it, even when nothing may be called any more."""
    tools = [_tool(tool, strict=strict) for tool in sorted(request.tools, key=lambda tool: tool.name)]
    if not tools:
        called = {call.tool for part in request.parts if isinstance(part, ModelSaid) for call in part.calls}
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in sorted(called)]
    if tools:
        tools[-1]["cache_control"] = _KEEP
    return tools


def _tool(tool: ToolListed, *, strict: bool) -> ToolParam:
    if strict and can_be_strict(tool):
        return {
            "name": tool.name,
            "description": tool.description,
            "input_schema": strict_schema(tool),
            "strict": True,
        }
    return {"name": tool.name, "description": tool.description, "input_schema": plain_schema(tool)}


def _said(part: ModelSaid) -> Iterable[ContentBlockParam]:
    if part.text.strip():
        yield {"type": "text", "text": part.text}
    for call in part.calls:
        yield {"type": "tool_use", "id": call.id, "name": call.tool, "input": call.arguments}


def _system(request: ModelRequest) -> list[TextBlockParam]:
    return [
        {"type": "text", "text": SYSTEM, "cache_control": _KEEP},
        {"type": "text", "text": system_text(request)},
    ]


def _refused(error: APIStatusError) -> TryFailed:
    reason = error.api_message or error.type or "no reason"
    # In the middle of a stream the status is that of its beginning, 200.
    is_busy = error.type in ("overloaded_error", "api_error", "rate_limit_error", "timeout_error")
    return failure(error.status_code, reason, error.response.headers, is_busy=is_busy)


_SDK: Final = Sdk(APITimeoutError, APIConnectionError, APIStatusError, AnthropicError, _refused)
