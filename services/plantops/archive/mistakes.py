"""What DuckDB says of a wrong query, as one sentence with the name that was probably meant. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_PREFIX: Final = re.compile(r"^(?:[A-Z][A-Za-z/-]* )+Error: ")
_TABLE: Final = re.compile(r"Table with name (\S+) does not exist")
_COLUMN: Final = re.compile(r'(?:Referenced column|does not have a column named) "([^"]+)"')
_REFERENCE: Final = re.compile(r'Referenced table "([^"]+)" not found')
_OWN_HINT: Final = re.compile(
    r"^(?:Did you mean|Candidate bindings:|Candidate tables:) (.*?)\??$", re.MULTILINE
)
_LINE: Final = re.compile(r"^LINE (\d+): ", re.MULTILINE)


def sentence(said: str, names: Mapping[str, Sequence[str]]) -> str:
    """One line: what is wrong, the nearest name of this file, and where to look. `names` are tables with
    their columns."""
    text = _PREFIX.sub("", said.strip())
    first = text.split("\n", 1)[0].strip().rstrip("!.")
    if "file system operations are disabled" in first or "Loading external extensions" in first:
        return f"{first}: a query reads this archive file and nothing else"
    if "read-only mode" in first:
        return f"{first}: queries only read, what happened is never edited"
    if "configuration has been locked" in first:
        return f"{first}: limits are set with --seconds and --memory"
    return f"{first}{_place(text)}{_meant(text, names)}"


def _place(text: str) -> str:
    """The line, where the query has several."""
    found = _LINE.search(text)
    return f" in line {found[1]}" if found and found[1] != "1" else ""


def _meant(text: str, names: Mapping[str, Sequence[str]]) -> str:
    for pattern, known in (
        (_TABLE, tuple(names)),
        (_REFERENCE, tuple(names)),
        (_COLUMN, tuple(sorted({column for columns in names.values() for column in columns}))),
    ):
        found = pattern.search(text)
        if found:
            near = _near(found[1].strip('"'), known)
            hint = f" (did you mean {near!r}?)" if near else ""
            return f"{hint}: see `plantops query --tables`"
    told = _OWN_HINT.search(text)
    return f" (did you mean {told[1]}?)" if told else ""


def _near(word: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, 1)
    return by_lower[close[0]] if close else ""
