"""What is seen: tables and colours on a terminal, aligned columns in a pipe, JSON with `--json`.

Data goes to standard output. What only says that work is going on goes to standard error, and only where a
terminal shows it.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from plantops.events.base import Scalar
from plantops.events.quality import is_bad, is_good, quality_name

# What is no terminal has no width: nothing is broken there to fit one.
PIPE_COLUMNS = 100_000

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print each step as JSON on a line of its own.")]
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


def _console() -> Console:
    console = Console(highlight=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, emoji=False, width=PIPE_COLUMNS)


out = _console()
err = Console(stderr=True, highlight=False, emoji=False)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_json_line(value: Any) -> None:
    """One JSON document on one line, at once: for streams."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


class Voice:
    """What a long command tells step by step: marked-up lines for people, or JSON lines for scripts."""

    def __init__(self, *, json: bool) -> None:
        self.json = json

    def say(self, text: str, *, event: str = "step", **facts: Any) -> None:
        """One line. `facts` are for scripts alone; people find them in `text`."""
        if self.json:
            plain = Text.from_markup(text, emoji=False).plain.strip()
            print_json_line({"at": datetime.now(UTC), "event": event, "text": plain, **facts})
        else:
            status_line.clear()
            out.print(text, soft_wrap=True)

    def rows(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
        """A table, or one JSON line for each of its rows."""
        if not self.json:
            status_line.clear()
            table(title, columns, rows)
            return
        for row in rows:
            facts = dict(zip(columns, (plain_cell(cell) for cell in row), strict=True))
            print_json_line({"at": datetime.now(UTC), "event": "row", **facts})


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """A table for people; a sentence when it is empty."""
    found = list(rows)
    if not found:
        out.print(f"{title}: none" if title else "none")
    elif out.is_terminal:
        out.print(drawn(title, columns, found))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in aligned(title, columns, found)))


def drawn(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """With lines and colours; the name in the first column stays whole."""
    result = Table(title=title or None, title_justify="left", header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        result.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        result.add_row(*row)
    return result


def aligned(title: str, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Iterator[str]:
    """In plain columns, at least two spaces apart, as wide as they must be."""
    cells = [list(columns), *([plain_cell(cell) for cell in row] for row in rows)]
    widths = [max(len(row[number]) for row in cells) for number in range(len(columns))]
    if title:
        yield title
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def plain_cell(cell: str | Text) -> str:
    """A cell without its colours."""
    return cell.plain if isinstance(cell, Text) else Text.from_markup(cell, emoji=False).plain


class _StatusLine:
    """The one line on the terminal that does not stay."""

    def __init__(self) -> None:
        self._is_shown = False

    def show(self, text: str) -> None:
        """Replace it."""
        if err.is_terminal:
            err.file.write(f"\r\x1b[2K\x1b[2m{text[: max(err.width - 1, 1)]}\x1b[0m")
            err.file.flush()
            self._is_shown = True

    def clear(self) -> None:
        """Make room for what stays."""
        if self._is_shown:
            err.file.write("\r\x1b[2K")
            err.file.flush()
            self._is_shown = False


status_line = _StatusLine()


@contextmanager
def working(text: str, *, quiet: bool = False) -> Iterator[None]:
    """A status line while something takes its time; nothing when `quiet` or where no terminal shows it."""
    if not quiet:
        status_line.show(text)
    try:
        yield
    finally:
        status_line.clear()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when nothing is near."""
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), names, 1)
    return f" (did you mean {names[close[0]]!r}?)" if close else ""


def some(names: Iterable[str], *, most: int = 12) -> str:
    """What there is, for an error that stays on one line."""
    found = list(names)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return (", ".join(found[:most]) or "none") + more


def visible(text: str) -> str:
    """A text from outside for a terminal: what moves the cursor or turns the writing round is shown instead
    of done. Lines stay lines."""
    return "".join(each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text)


def safe(text: str) -> str:
    """The same where colours are marked by brackets: those in it are none."""
    return escape(visible(text))


def exact(value: Scalar | None) -> str:
    """A value that somebody confirms or approves, whole, as it may stand between others: texts in quotes."""
    if isinstance(value, str):
        return escape(repr(value))
    short = shown(value)
    return repr(value) if isinstance(value, float) and float(short) != value else short


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
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.0f} h"
