"""Replies from files, by what the model was shown; and how such files are made in a live run.

A file is `<digest>.json`: the reply, and beside it what was asked, for people who read a difference. The
folder is written by one process; the same question again is the same file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from plantops.agent.models.failures import TryInVain
from plantops.agent.port import LanguageModel, ModelReply, ModelRequest, OnText, request_digest
from plantops.events.base import encode_json
from plantops.runtime.errors import IntegrityError, SettingsError

NAME: Final = "recorded"


class Recording(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One file. `digest` is that of the request, by `request_digest`; `asked` is for people."""

    digest: str
    reply: ModelReply
    asked: dict[str, Any] = {}


class RecordedModel:
    """Replays. What was not recorded is not made up: TryInVain says which question it was."""

    name = NAME

    def __init__(self, folder: Path, most_tools: int) -> None:
        """Raises: SettingsError without the folder."""
        if not folder.is_dir():
            raise SettingsError(
                f"{folder} is no folder of recordings: record some first", setting="agent.model.recordings"
            )
        self._folder = folder
        self.most_tools = most_tools

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """The recorded reply. Raises: TryInVain, IntegrityError for a file that is none."""
        digest = request_digest(request)
        path = self._folder / f"{digest}.json"
        try:
            data = path.read_bytes()
        except OSError as error:
            asked = request.parts[-1] if request.parts else None
            raise TryInVain(
                f"no recording {path.name} in {self._folder} ({error.strerror}): step {request.step}"
                f" after {type(asked).__name__}"
            ) from error
        recording = _read(path, data)
        if recording.digest != digest:
            raise IntegrityError(f"{path} holds another request: record it again", path=str(path))
        if recording.reply.text:
            on_text(recording.reply.text)
        return recording.reply

    async def close(self) -> None:
        """Nothing is open."""


class RecordingModel:
    """Another provider whose replies are kept. Only whole ones are: what failed is tried again live."""

    def __init__(self, model: LanguageModel, folder: Path) -> None:
        """Raises: SettingsError when the folder cannot be made."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"cannot make {folder}: {error.strerror}", setting="agent.model.recordings"
            ) from error
        self._model, self._folder = model, folder

    @property
    def name(self) -> str:
        """Of who answers."""
        return self._model.name

    @property
    def most_tools(self) -> int:
        """Of who answers."""
        return self._model.most_tools

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """As the provider; then the file is written, whole or not at all."""
        reply = await self._model.complete(request, on_text)
        record(self._folder, request, reply)
        return reply

    async def close(self) -> None:
        await self._model.close()


def record(folder: Path, request: ModelRequest, reply: ModelReply) -> Path:
    """Write one recording. Raises: SettingsError when the folder does not take it."""
    digest = request_digest(request)
    asked = {
        "site": request.site,
        "step": request.step,
        "parts": msgspec.to_builtins(request.parts),
        "tools": [tool.name for tool in request.tools],
        "chain": list(request.chain),
    }
    path = folder / f"{digest}.json"
    fresh = path.with_suffix(".new")
    plain = encode_json(Recording(digest=digest, reply=reply, asked=asked))
    try:
        fresh.write_bytes(msgspec.json.format(plain) + b"\n")
        fresh.replace(path)
    except OSError as error:
        raise SettingsError(
            f"cannot write {path}: {error.strerror}", setting="agent.model.recordings"
        ) from error
    return path


def _read(path: Path, data: bytes) -> Recording:
    try:
        return msgspec.json.decode(data, type=Recording)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"{path} is no recording of a reply: {error}", path=str(path)) from error
