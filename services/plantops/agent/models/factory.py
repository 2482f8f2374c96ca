"""The language model that the settings name. A provider's library is imported only for who uses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from plantops.agent.models.guarding import GuardedModel, Surroundings
from plantops.agent.models.recorded import RecordedModel, RecordingModel
from plantops.agent.models.rules.provider import RulesModel
from plantops.agent.models.settings import ModelSettings
from plantops.agent.port import LanguageModel
from plantops.runtime.secrets import Secret

Secrets: TypeAlias = Callable[[str], Secret]
"""Gives the secret that a reference names. Raises: SettingsError."""


def language_model(
    settings: ModelSettings,
    secrets: Secrets,
    folder: Path = Path(),
    *,
    around: Surroundings | None = None,
) -> LanguageModel:
    """Who answers, guarded. It opens no connection; a relative folder of recordings counts from `folder`.

    Raises: SettingsError for a key that is not there, or recordings that are not.
    """
    if settings.provider == "rules":
        return RulesModel()
    first = _provider(settings, secrets, folder)
    return GuardedModel(first, RulesModel() if settings.fall_back else None, settings, around)


def _provider(settings: ModelSettings, secrets: Secrets, folder: Path) -> LanguageModel:
    if settings.provider == "recorded":
        return RecordedModel(folder / settings.recordings, settings.most_tools)
    model: LanguageModel
    if settings.provider == "anthropic":
        # 89 MB of memory, and about a second: only for who uses it.
        from plantops.agent.models.anthropic import AnthropicModel  # noqa: PLC0415

        model = AnthropicModel(settings, secrets(settings.key))
    else:
        from plantops.agent.models.openai import OpenAIModel  # noqa: PLC0415

        model = OpenAIModel(settings, secrets(settings.key) if settings.key else None)
    return RecordingModel(model, folder / settings.recordings) if settings.recordings else model
