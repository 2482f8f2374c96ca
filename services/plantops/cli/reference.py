"""`python -m plantops.cli.reference` writes docs/reference/: every page that the code can tell by itself."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from plantops.cli.main import app
from plantops.deployment.reference import Page, page
from plantops.deployment.reference import pages as other_pages


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, by the words to type, in the order of the help."""
    yield from _walk("plantops", typer.main.get_command(app))


def _walk(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield words, command
        return
    for name, one in below.items():
        yield from _walk(f"{words} {name}", one)


def cli_page() -> Page:
    """Each command with its arguments and options."""
    yield from ("# Command line", "")
    yield "Data goes to standard output, errors to standard error in one line. Exit codes: 0 done, 1 refused"
    yield "or failed, 2 wrong use, 130 interrupted."
    for words, command in commands():
        yield from ("", f"## {words}")
        for paragraph in (command.help or "").split("\n\n"):
            yield from ("", _plain(paragraph))
        rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            yield from ("", "| | default | |", "|---|---|---|", *rows)


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = parameter.name.upper() + ("…" if parameter.nargs == -1 else "")
    else:
        name = ", ".join(parameter.opts)
    default = "required" if parameter.required else _default(parameter.default)
    return f"| `{name}` | {default} | {_plain(parameter.help)}{_variable(parameter)} |"


def _default(value: Any) -> str:
    return "-" if value is None or value is False or value == "" else f"`{value}`"


def _variable(parameter: Any) -> str:
    variable = parameter.envvar
    return f" Also `{variable}`." if isinstance(variable, str) else ""


def _plain(text: str | None) -> str:
    """Help without the marks of its colours, on one line."""
    return " ".join(Text.from_markup(text or "").plain.split()).replace("|", "\\|")


def pages() -> dict[str, str]:
    """File name to text, for the whole folder."""
    return {"cli.md": page(cli_page()), **other_pages()}


def main(arguments: Sequence[str]) -> None:
    """Write all pages into the folder that is named, docs/reference by default."""
    folder = Path(*arguments) if arguments else Path("docs") / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, pages().items())


def write(folder: Path, texts: Iterable[tuple[str, str]]) -> None:
    """Write each text under its name."""
    for name, text in texts:
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
