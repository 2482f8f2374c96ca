"""The AsyncAPI document is one, to AsyncAPI's own parser."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from schemas.folder import SCHEMAS
from schemas.npm import prepared, run

SCRIPTS = Path(__file__).with_name("node")


@pytest.fixture(scope="module")
def parser(pytestconfig: pytest.Config) -> Path:
    return prepared(SCRIPTS, pytestconfig)


def test_the_document_is_valid(parser: Path) -> None:
    place = SCHEMAS / "asyncapi.yaml"
    told = run(parser, ["asyncapi.mjs", place])
    assert (told.stdout.splitlines(), told.stderr) == ([f"{place} AsyncAPI 3.1.0"], "")


# What is damaged: a part of the text, and what stands there instead.
DAMAGES = {
    "action": ("action: send", "action: shout"),
    "channel": ("$ref: '#/channels/command.denied'", "$ref: '#/channels/command.gone'"),
    "security": ("- $ref: '#/components/securitySchemes/nkey'", "- nkey: []"),
    "schema": ("./events/source.up/1.schema.json", "./events/source.up/9.schema.json"),
}


def test_a_damaged_document_is_not(parser: Path, tmp_path: Path) -> None:
    text = (SCHEMAS / "asyncapi.yaml").read_text()
    for name, (part, instead) in DAMAGES.items():
        assert part in text
        shutil.copytree(SCHEMAS, tmp_path / name)
        (tmp_path / name / "asyncapi.yaml").write_text(text.replace(part, instead))
    places = [tmp_path / name / "asyncapi.yaml" for name in DAMAGES]
    told = run(parser, ["asyncapi.mjs", *places]).stdout.splitlines()
    assert [line for line in told if line.startswith(str(tmp_path))] == [
        f"{place} no document" for place in places
    ]
