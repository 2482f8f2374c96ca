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
    told = run(parser, ["asyncapi.mjs", SCHEMAS / "asyncapi.yaml"])
    assert (told.stdout.splitlines(), told.stderr) == (["AsyncAPI 3.1.0"], "")


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("action: send", "action: shout"),
        ("$ref: '#/channels/command.denied'", "$ref: '#/channels/command.gone'"),
        ("- $ref: '#/components/securitySchemes/nkey'", "- nkey: []"),
        ("./events/source.up/1.schema.json", "./events/source.up/9.schema.json"),
    ],
)
def test_a_damaged_document_is_not(parser: Path, tmp_path: Path, part: str, instead: str) -> None:
    shutil.copytree(SCHEMAS, tmp_path / "schemas")
    place = tmp_path / "schemas" / "asyncapi.yaml"
    text = place.read_text()
    assert part in text
    place.write_text(text.replace(part, instead))
    assert run(parser, ["asyncapi.mjs", place]).stdout.splitlines() != ["AsyncAPI 3.1.0"]
