"""What a ready question is: SQL over the tables and views of every archive file, with named parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

ParameterKind: TypeAlias = Literal["text", "time"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$name` in the SQL, bound as text: a `time` as UTC in ISO 8601. Without a default it must be given.

    The default of a time is an age, such as 24h, counted back from the newest stored time of the file.
    """

    name: str
    text: str
    kind: ParameterKind = "text"
    default: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """`answers` says what it is good for, in a sentence for people."""

    name: str
    answers: str
    sql: str
    parameters: tuple[Parameter, ...] = ()


COMMAND: Final = Parameter("command", "the handle of a command, such as c12, or its identity")
SINCE: Final = Parameter("since", "UTC time such as 2026-05-04T06:00, or an age such as 24h", "time", "24h")
TAG: Final = Parameter("tag", "the name of a tag")
CONVERSATION: Final = Parameter(
    "conversation", "what the requests belong to, as `commands.correlation` shows it"
)
