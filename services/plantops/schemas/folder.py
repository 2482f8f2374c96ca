"""The folder `schemas/`: what belongs there, what may not change any more, and writing it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from plantops.schemas import fixtures, stream_table
from plantops.schemas.asyncapi import document as asyncapi
from plantops.schemas.catalogue import Documented, documented
from plantops.schemas.compatibility import changes
from plantops.schemas.documents import schema_of
from plantops.schemas.vectors import vectors

Json: TypeAlias = Any

_AREAS: Final = ("events", "payloads", "services")
_SCHEMA: Final = re.compile(rf"({'|'.join(_AREAS)})/[^/]+/\d+\.schema\.json")
# Written by hand.
_BY_HAND: Final = ("README.md", "COMPAT.md", "examples/")


def generated() -> dict[str, bytes]:
    """Path to bytes of all that follows from today's code. Fixtures do not: they are recorded once."""
    files = {entry.path: written(schema_of(entry)) for entry in documented()}
    files[asyncapi.PATH] = asyncapi.asyncapi().encode()
    files[stream_table.PATH] = stream_table.stream_table().encode()
    return files | vectors()


def written(document: Mapping[str, Json]) -> bytes:
    """A document as it stands in the folder."""
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"


@dataclass(slots=True)
class Differences:
    """What stands between the folder and the code, in sentences that begin with the path.

    `breaking`: a released schema would mean something else; nothing may be written then. `stale`: another
    text, a file that is missing, a fixture that was not recorded. `strangers`: nobody writes them.
    """

    breaking: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.breaking or self.stale or self.strangers)


def compare(folder: Path) -> Differences:
    """The folder against the code."""
    wanted = generated()
    found = Differences(breaking=list(broken(folder, documented())))
    for path, data in wanted.items():
        stands = folder / path
        if not stands.is_file():
            found.stale.append(f"{path}: is missing")
        elif stands.read_bytes() != data:
            found.stale.append(f"{path}: is not what the code gives")
    found.stale += [f"{path}: was never recorded" for path in fixtures.missing(folder)]
    found.strangers = [f"{path}: nobody writes this file" for path in _strangers(folder, wanted)]
    return found


def broken(folder: Path, entries: Sequence[Documented]) -> Iterator[str]:
    """How released schemas in the folder differ in meaning from the structs of today."""
    for entry in entries:
        path = folder / entry.path
        if path.is_file():
            released = msgspec.json.decode(path.read_bytes())
            yield from (f"{entry.path}: {change}" for change in changes(released, schema_of(entry)))
    known = {(entry.area, entry.name) for entry in entries}
    for area in _AREAS:
        for path in sorted((folder / area).glob("*/*.schema.json")):
            if (area, path.parent.name) not in known:
                yield f"{area}/{path.parent.name}/{path.name}: nothing has this name any more"


def write(folder: Path) -> list[str]:
    """Bring the folder up to date, unless a released schema would change its meaning.

    Gives the paths that were written. What is there already as a fixture stays as it is.
    Raises: ValueError naming every change of meaning.
    """
    if found := list(broken(folder, documented())):
        raise ValueError(
            "released schemas would change their meaning; give the event another version or type "
            "(schemas/COMPAT.md):\n" + "\n".join(f"  {each}" for each in found)
        )
    files = generated() | fixtures.missing(folder)
    changed = [path for path, data in files.items() if _differs(folder / path, data)]
    for path in changed:
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(files[path])
    return changed


def _differs(path: Path, data: bytes) -> bool:
    return not path.is_file() or path.read_bytes() != data


def _strangers(folder: Path, wanted: Mapping[str, bytes]) -> Iterator[str]:
    for place in sorted(folder.rglob("*")):
        path = place.relative_to(folder).as_posix()
        if place.is_dir() or path in wanted or path.startswith((*_BY_HAND, f"{fixtures.FOLDER}/")):
            continue
        if _SCHEMA.fullmatch(path) is None:  # a former version stays for ever; the rest is `broken`
            yield path
