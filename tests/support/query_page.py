"""SQL and results in docs/guides/queries.md. `PYTHONPATH=tests python -m support.query_page` renews them.

What people wrote between the blocks stays as it is.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from plantops.archive.asking import Snapshot, opened
from plantops.archive.questions import QUESTIONS
from plantops.cli.cells import shown_cell
from plantops.cli.output import aligned
from plantops.cli.query import values_of
from support.archive_story import fill, morning

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "queries.md"
ROWS = 8
_SECTION = re.compile(r"^### (\S+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_SQL = re.compile(r"^```sql\n.*?^```\n", re.MULTILINE | re.DOTALL)
_RESULT = re.compile(r"^```text\n(\$ plantops query --ask [^\n]*)\n.*?^```\n", re.MULTILINE | re.DOTALL)


def sections(text: str) -> list[str]:
    """The questions that a page shows, in its order."""
    return [found[1] for found in _SECTION.finditer(text)]


def renewed(text: str, snapshot: Snapshot) -> str:
    """The page with the SQL of today and what it gives for the story. Raises: KeyError for a strange name."""
    return _SECTION.sub(lambda found: _section(found[1], found[0], snapshot), text)


def _section(name: str, text: str, snapshot: Snapshot) -> str:
    sql = f"```sql\n{QUESTIONS[name].sql.strip()}\n```\n"
    text, several = _SQL.subn(lambda _found: sql, text)
    assert several == 1, f"{name}: one SQL block"
    text, several = _RESULT.subn(lambda found: _result(name, found[1], snapshot), text)
    assert several == 1, f"{name}: one result"
    return text


def _result(name: str, line: str, snapshot: Snapshot) -> str:
    assert line.split()[:5] == ["$", "plantops", "query", "--ask", name], line
    lines = "\n".join(answered(name, line.split()[5:], snapshot))
    return f"```text\n{line}\n{lines}\n```\n"


def answered(name: str, words: list[str], snapshot: Snapshot) -> Iterator[str]:
    """The first rows of an answer, as a pipe shows them."""
    question = QUESTIONS[name]
    answer = snapshot.ask(question.sql, values_of(question, words, snapshot.age()))
    rows = [[shown_cell(cell) for cell in row] for row in answer.rows]
    yield from aligned("", answer.columns, rows[:ROWS])
    if len(rows) > ROWS:
        yield f"… {len(rows) - ROWS} more"


def main() -> None:
    """Write the page anew."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "live.duckdb"
        fill(path, morning()).close()
        with opened(path) as snapshot:
            PAGE.write_text(renewed(PAGE.read_text(), snapshot))


if __name__ == "__main__":
    main()
