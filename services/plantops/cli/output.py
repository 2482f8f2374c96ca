"""What people and scripts see: tables and colours on a terminal, JSON with `--json`, errors on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from plantops.events.base import Scalar
from plantops.events.quality import is_bad, is_good, quality_name
from plantops.runtime.errors import PlantOpsError

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Folder = Annotated[
    Path,
    typer.Option(
        "--folder", "-f", envvar="PLANTOPS_FOLDER", help="The site folder (default: the demo site here)."
    ),
]
User = Annotated[
    str,
    typer.Option("--as", "-u", envvar="PLANTOPS_USER", help="The person who acts; his keys are in people/."),
]
DEMO_FOLDER = Path(".plantops") / "demo"


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_json_line(value: Any) -> None:
    """One JSON document on one line, at once: for streams."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """A table for people; a sentence when it is empty."""
    result = Table(title=title or None, title_justify="left", header_style="bold", pad_edge=False)
    for column in columns:
        result.add_column(column, overflow="fold")
    count = 0
    for row in rows:
        result.add_row(*row)
        count += 1
    if count:
        out.print(result)
    else:
        out.print(f"{title}: none" if title else "none")


def shown(value: Scalar | None) -> str:
    """A value as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def quality_text(quality: int) -> Text:
    """The quality's name in its colour."""
    style = "green" if is_good(quality) else "red" if is_bad(quality) else "yellow"
    return Text(quality_name(quality), style=style)


def seconds(value: float | None) -> str:
    """An age as a person reads it."""
    if value is None:
        return "never"
    return (
        f"{value:.1f} s"
        if value < 120
        else f"{value / 60:.0f} min"
        if value < 7200
        else f"{value / 3600:.0f} h"
    )


def fail(error: Exception, code: int = 1) -> NoReturn:
    """One line on standard error, and the exit code."""
    if isinstance(error, OSError) and not isinstance(error, PlantOpsError):
        place = f" {error.filename}" if error.filename else ""
        text = f"{error.strerror or error}{place}"
    else:
        text = str(error)
    err.print(Text.assemble(("error: ", "bold red"), text))
    sys.exit(code)
