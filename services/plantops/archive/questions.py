"""All ready questions by name. `docs/guides/queries.md` shows each with its SQL and a result."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from plantops.archive.command_questions import COMMAND_QUESTIONS
from plantops.archive.plant_questions import PLANT_QUESTIONS
from plantops.archive.question import Parameter, Question

QUESTIONS: Final[Mapping[str, Question]] = MappingProxyType(
    {question.name: question for question in (*COMMAND_QUESTIONS, *PLANT_QUESTIONS)}
)

__all__ = ["QUESTIONS", "Parameter", "Question"]
