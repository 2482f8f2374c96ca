"""Settings that say what is wrong, the provider they name, and replies from files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.models.asking import person, request
from agent.models.wire import SSE, Answer, claude, wire
from plantops.agent.models.factory import language_model
from plantops.agent.models.failures import TryInVain
from plantops.agent.models.guarding import GuardedModel
from plantops.agent.models.recorded import RecordedModel, RecordingModel, record
from plantops.agent.models.rules.provider import RulesModel
from plantops.agent.models.settings import ModelSettings
from plantops.agent.port import ModelReply, ModelUnavailable, request_digest
from plantops.runtime.errors import IntegrityError, SettingsError
from plantops.runtime.secrets import Secret

QUESTION = request(person("what is the speed?"))


def read(**table: Any) -> ModelSettings:
    return msgspec.convert(table, ModelSettings)


def secrets(reference: str) -> Secret:
    if reference != "secret:model":
        raise SettingsError(f"no secret {reference}", setting=reference)
    return Secret("sk-test")


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"provider": "anthropic", "key": "secret:model"}, "model"),
        ({"provider": "anthropic", "model": "m"}, "key"),
        ({"provider": "openai", "model": "m"}, "key"),
        ({"provider": "openai", "base_url": "http://127.0.0.1:1"}, "model"),
        ({"provider": "openai", "model": "m", "base_url": "127.0.0.1:1"}, "base_url"),
        ({"provider": "recorded"}, "recordings"),
        ({"model": "m"}, "provider"),
        ({"key": "secret:model"}, "provider"),
        ({"prices": {"m": {"input": float("inf"), "output": 1.0}}}, "prices"),
    ],
)
def test_what_is_missing_or_never_used_is_refused_by_name(table: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingsError, match=rf"agent\.model\.{key}"):
        read(**table)


@pytest.mark.parametrize(
    "table",
    [
        {"modell": "m"},
        {"retry": {"tries": 0}},
        {"retry": {"times": 3}},
        {"breaker": {"probes": 0}},
        {"prices": {"m": {"input": 1.0}}},
        {"prices": {"m": {"input": -1.0, "output": 1.0}}},
        {"provider": "other"},
        {"most_tools": 500},
    ],
)
def test_unknown_keys_and_impossible_values_are_refused(table: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(**table)


def test_without_settings_the_rules_answer() -> None:
    assert isinstance(language_model(ModelSettings(), secrets), RulesModel)


def test_a_key_that_is_not_there_is_said_at_the_start() -> None:
    with pytest.raises(SettingsError, match="secret:other"):
        language_model(read(provider="anthropic", model="m", key="secret:other"), secrets)


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
async def test_the_named_provider_is_guarded(provider: str) -> None:
    model = language_model(read(provider=provider, model="m", key="secret:model"), secrets)
    assert isinstance(model, GuardedModel)
    assert (model.name, model.most_tools) == (provider, 24)
    await model.close()


def test_the_rules_load_no_library_of_a_provider() -> None:
    code = (
        "import sys, plantops.agent.models.factory as f, plantops.agent.models.settings as s\n"
        "f.language_model(s.ModelSettings(), lambda name: None)\n"
        "print(sorted({'anthropic', 'openai', 'httpx2', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_a_live_run_is_recorded_and_replayed_without_a_network(tmp_path: Path) -> None:
    table: dict[str, Any] = {"provider": "anthropic", "model": "m", "key": "secret:model", "fall_back": False}
    async with wire(Answer(body=claude({"text": ["900 ", "rpm"]}), headers=SSE)) as served:
        live = language_model(read(**table, base_url=served.url, recordings="tape"), secrets, tmp_path)
        first = await live.complete(QUESTION, lambda _text: None)
        await live.close()
    replay = language_model(read(provider="recorded", recordings="tape", fall_back=False), secrets, tmp_path)
    said: list[str] = []
    assert await replay.complete(QUESTION, said.append) == first
    assert said == ["900 rpm"]
    with pytest.raises(ModelUnavailable, match="no recording"):
        await replay.complete(request(person("something else")), said.append)
    await replay.close()


async def test_a_question_without_a_recording_is_not_answered(tmp_path: Path) -> None:
    with pytest.raises(TryInVain, match=request_digest(QUESTION)):
        await RecordedModel(tmp_path, 0).complete(QUESTION, print)


async def test_another_ones_recording_is_not_taken(tmp_path: Path) -> None:
    other = request(person("something else"))
    path = record(tmp_path, other, ModelReply(text="x"))
    path.rename(tmp_path / f"{request_digest(QUESTION)}.json")
    with pytest.raises(IntegrityError, match="another request"):
        await RecordedModel(tmp_path, 0).complete(QUESTION, print)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"digest": "x", "reply": {"text": "x"}, "more": 1}', b"junk"])
async def test_a_damaged_recording_is_said(tmp_path: Path, data: bytes) -> None:
    (tmp_path / f"{request_digest(QUESTION)}.json").write_bytes(data)
    with pytest.raises(IntegrityError):
        await RecordedModel(tmp_path, 0).complete(QUESTION, print)


def test_a_folder_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no folder"):
        RecordedModel(tmp_path / "none", 0)
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot make"):
        RecordingModel(RulesModel(), tmp_path / "file" / "tape")


async def test_what_failed_is_not_recorded(tmp_path: Path) -> None:
    table: dict[str, Any] = {"provider": "anthropic", "model": "m", "key": "secret:model", "fall_back": True}
    async with wire(Answer(status=401)) as served:
        live = language_model(read(**table, base_url=served.url, recordings="tape"), secrets, tmp_path)
        reply = await live.complete(QUESTION, lambda _text: None)
        await live.close()
    assert reply.fell_back_from == "anthropic"
    assert list((tmp_path / "tape").iterdir()) == []
