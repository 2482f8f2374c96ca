"""The committed folder, and what stands in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from layout.repository import ROOT
from plantops.events.envelope import MSGPACK
from plantops.flow.bus import Stored
from plantops.schemas.fixtures import HEADERS, Envelope

SCHEMAS = ROOT / "schemas"


@dataclass(frozen=True)
class Fixture:
    """One recorded message with the schema of its version."""

    name: str
    data: bytes
    envelope: Envelope
    schema: dict[str, Any]

    @property
    def is_packed(self) -> bool:
        return self.envelope.headers["content-type"] == MSGPACK

    def stored(self) -> Stored:
        return Stored("ANY", 1, self.envelope.subject, self.data, 1, self.envelope.headers)

    def image(self) -> Any:
        """The payload as JSON, as its schema describes it: bytes as Base64."""
        if self.is_packed:
            return msgspec.to_builtins(msgspec.msgpack.decode(self.data))
        return msgspec.json.decode(self.data)


def fixtures() -> Iterator[Fixture]:
    """Everything that was ever recorded."""
    for beside in sorted((SCHEMAS / "fixtures").rglob(f"*{HEADERS}")):
        version = beside.parent
        stem = beside.name.removesuffix(HEADERS)
        (payload,) = (
            path
            for path in version.glob(f"{stem}.*")
            if path.suffix in (".json", ".msgpack") and path != beside
        )
        schema = SCHEMAS / "events" / version.parent.name / f"{version.name}.schema.json"
        yield Fixture(
            f"{version.parent.name}/{version.name}/{stem}",
            payload.read_bytes(),
            msgspec.json.decode(beside.read_bytes(), type=Envelope),
            read_json(schema),
        )


def read_json(path: Path) -> Any:
    return msgspec.json.decode(path.read_bytes())
