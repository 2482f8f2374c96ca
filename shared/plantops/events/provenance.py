"""Where a text or a value came from. Whatever was not written by the person who asks is untrusted."""

from __future__ import annotations

from typing import Literal, TypeAlias

from plantops.events.base import Record

Channel: TypeAlias = Literal[
    "question", "tag", "source", "device", "alarm", "finding", "asset", "command", "history", "audit", "mcp"
]
"""`question`: the words of who asks. `tag`: value, name or description of a tag. `source`: what a source
says of itself. `device`: read directly. `asset`: texts of the model or of an AAS. `mcp`: another server's
result."""


class Provenance(Record, frozen=True):
    """One thing that a proposal or an answer rests on.

    `name` is the tag, source, alarm, command or asset; `stream` and `sequence` say where in the log it stands
    ("" and 0: it is not stored, for example text of the model file). `quality` is that of a value.
    """

    channel: Channel
    name: str
    stream: str = ""
    sequence: int = 0
    quality: int | None = None
