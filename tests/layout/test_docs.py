"""The reference says what the code says, and nothing that has an answer there is left out."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from layout.repository import ROOT, committed, text_of
from plantops.cli.reference import commands, pages
from plantops.deployment.reference import settings_files
from plantops.events import EVENT_TYPES
from plantops.flow.streams import streams

REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_reference_page_is_what_the_code_gives_now(name: str) -> None:
    assert (REFERENCE / name).read_text() == pages()[name], "write it again: python -m plantops.cli.reference"


def test_every_command_is_described() -> None:
    text = (REFERENCE / "cli.md").read_text()
    assert [words for words, _command in commands() if f"\n## {words}\n" not in text] == []


def test_every_command_and_every_option_has_help() -> None:
    silent = [words for words, command in commands() if not command.help]
    silent += [
        f"{words} {parameter.name}"
        for words, command in commands()
        for parameter in command.params
        if not parameter.help
    ]
    assert silent == []


def test_every_settings_key_is_described() -> None:
    text = (REFERENCE / "settings.md").read_text()
    missing = [
        f"{title} {place} {field.encode_name}"
        for title, tables in settings_files()
        for place, kind in tables
        for field in msgspec.structs.fields(kind)
        if f"| `{field.encode_name}` |" not in text
    ]
    assert missing == []


def test_every_struct_that_a_settings_file_can_hold_has_a_table() -> None:
    tables = [kind for _title, tables in settings_files() for _place, kind in tables]
    nested = {
        found
        for kind in tables
        for field in msgspec.structs.fields(kind)
        for found in _structs_in(field.type)
    }
    assert nested - set(tables) == set()


def _structs_in(kind: object) -> set[object]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {kind}
    return {found for part in getattr(kind, "__args__", ()) for found in _structs_in(part)}


def test_every_stream_is_described() -> None:
    text = (REFERENCE / "streams.md").read_text()
    assert [stream.name for stream in streams() if f"| `{stream.name}` |" not in text] == []


def test_every_event_type_is_described() -> None:
    text = (REFERENCE / "events.md").read_text()
    assert [name for name in (*EVENT_TYPES, "tag.frame") if f"\n## {name}\n" not in text] == []


def test_documents_name_only_commands_that_exist() -> None:
    known = {tuple(words.split()[1:]) for words, _command in commands()}
    longest = max(map(len, known))
    named = {
        (path, tuple(line.split()[:longest]))
        for path in committed()
        if path.suffix == ".md"
        for line in re.findall(r"(?:`|^ *)plantops ([a-z][^`\n]*)", text_of(path), re.MULTILINE)
    }
    groups = {words[:length] for words in known for length in range(1, len(words))}
    unknown = {
        (path, words)
        for path, words in named
        if words not in groups and not any(words[:length] in known for length in range(1, longest + 1))
    }
    assert unknown == set()


def test_guides_are_linked_from_the_readme() -> None:
    text = text_of(Path("README.md"))
    guides = [path for path in committed() if path.parts[:2] == ("docs", "guides")]
    assert guides
    assert [str(path) for path in guides if str(path) not in text] == []
