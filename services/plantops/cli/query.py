"""`plantops query`: SQL on the served snapshot, and questions that stand ready."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer

from plantops.archive.asking import Age, Answer, Limits, Snapshot, opened
from plantops.archive.place import SERVED_FILE
from plantops.archive.questions import QUESTIONS, Parameter, Question
from plantops.archive.specs import ARCHIVE
from plantops.archive.tables import TABLES
from plantops.archive.views import VIEW_TEXTS
from plantops.cli.cells import json_row, plain, shown_cell
from plantops.cli.output import (
    DEMO_FOLDER,
    Folder,
    Json,
    did_you_mean,
    err,
    print_json,
    safe,
    seconds,
    some,
    table,
)
from plantops.deployment.place import load_place
from plantops.runtime.errors import SettingsError

OLD: Final = timedelta(minutes=1)
MAX_SQL: Final = 1024 * 1024
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="query")(query)


def query(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SQL", help="One SELECT, `-` to read it from standard input; key=value of --ask."
        ),
    ] = None,
    *,
    ask: Annotated[str, typer.Option("--ask", "-a", help="A ready question by name, see --list.")] = "",
    list_: Annotated[bool, typer.Option("--list", "-l", help="List the ready questions.")] = False,
    tables: Annotated[bool, typer.Option("--tables", "-t", help="List tables, or columns of one.")] = False,
    folder: Folder = DEMO_FOLDER,
    file: Annotated[
        Path | None, typer.Option("--file", help="Another DuckDB file, such as an export.", dir_okay=False)
    ] = None,
    json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Rows of a table for people; 0: all.")] = 1000,
    time_limit: Annotated[float, typer.Option("--seconds", min=0.1, help="Give up after so long.")] = 30.0,
    memory: Annotated[int, typer.Option(min=64, help="Megabytes that it may take.")] = 512,
) -> None:
    """Ask the archive with SQL, or with a ready question: who commanded what, and why?

    It reads the served snapshot, some seconds old, with DuckDB. Nothing can be changed by it.
    """
    given = words or []
    if list_:
        _list(json=json)
        return
    if not (tables or ask):
        _check(given)
    path = file or load_place(folder).folder.state(ARCHIVE) / SERVED_FILE
    with opened(path, Limits(time_limit, memory)) as snapshot:
        if tables:
            _tables(snapshot, given, json=json)
            return
        age = snapshot.age()
        sql, values = _ready(ask, given, age) if ask else (_sql(given[0]), {})
        answer = snapshot.ask(sql, values)
        if json:
            _print_json(answer, age)
        elif as_csv:
            _print_csv(answer)
        else:
            _print_table(answer, age, limit)
    _warn(age, path)


def _check(words: list[str]) -> None:
    if len(words) != 1:
        raise typer.BadParameter(
            "give one SELECT in quotes, or a ready question with --ask (see --list)", param_hint="SQL"
        )


def _sql(word: str) -> str:
    return sys.stdin.read(MAX_SQL) if word == "-" else word


def _ready(name: str, words: list[str], age: Age) -> tuple[str, Mapping[str, str]]:
    """The SQL of a ready question with its values. Raises: SettingsError."""
    question = QUESTIONS.get(name)
    if question is None:
        raise SettingsError(
            f"no ready question is called {name!r}{did_you_mean(name, QUESTIONS)}: "
            "see `plantops query --list`",
            setting="ask",
        )
    return question.sql, values_of(question, words, age)


def values_of(question: Question, words: list[str], age: Age) -> dict[str, str]:
    """What `key=value` words and defaults give its parameters. Raises: SettingsError."""
    told = dict(_pair(question, word) for word in words)
    values = {}
    for parameter in question.parameters:
        text = told.get(parameter.name, parameter.default)
        if not text:
            raise SettingsError(
                f"{question.name} needs {parameter.name}={parameter.name.upper()}: {parameter.text}",
                setting=parameter.name,
            )
        values[parameter.name] = _moment(parameter, text, age) if parameter.kind == "time" else text
    return values


def _pair(question: Question, word: str) -> tuple[str, str]:
    key, sign, value = word.partition("=")
    names = [parameter.name for parameter in question.parameters]
    if not sign or key not in names:
        takes = f"takes {some(f'{name}=…' for name in names)}" if names else "takes no words"
        raise SettingsError(
            f"{word!r} is not understood{did_you_mean(key, names)}: {question.name} {takes}", setting="ask"
        )
    return key, value


def _moment(parameter: Parameter, text: str, age: Age) -> str:
    """A time, or an age before the newest message of the file."""
    back = _AGE.fullmatch(text)
    try:
        if back:
            until = age.newest_at or age.written_at
            moment = until - timedelta(**{_UNITS[back[2]]: float(back[1])})
        else:
            moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise SettingsError(
            f"{parameter.name}={text!r} is no time: give {parameter.text}", setting=parameter.name
        ) from error
    return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None).isoformat()


def _list(*, json: bool) -> None:
    if json:
        print_json(
            [
                {
                    "name": question.name,
                    "answers": question.answers,
                    "parameters": {p.name: p.default for p in question.parameters},
                    "sql": question.sql.strip(),
                }
                for question in QUESTIONS.values()
            ]
        )
        return
    rows = ((question.name, _words(question), question.answers) for question in QUESTIONS.values())
    table("", ("--ask", "with", "answers"), rows)


def _words(question: Question) -> str:
    return " ".join(f"{p.name}={p.default or p.name.upper()}" for p in question.parameters)


def _tables(snapshot: Snapshot, words: list[str], *, json: bool) -> None:
    names = snapshot.names()
    texts = {**{name: one.text for name, one in TABLES.items()}, **VIEW_TEXTS}
    if not words:
        rows = [(name, texts.get(name, ""), ", ".join(columns)) for name, columns in names.items()]
        if json:
            print_json([{"name": row[0], "text": row[1], "columns": names[row[0]]} for row in rows])
        else:
            table("", ("table", "holds"), (row[:2] for row in rows))
        return
    (name,) = words if len(words) == 1 else ("",)
    if name not in names:
        raise SettingsError(
            f"no table or view {' '.join(words)!r}{did_you_mean(' '.join(words), names)}: "
            "see `plantops query --tables`",
            setting="tables",
        )
    told = {column.name: column for column in TABLES[name].columns} if name in TABLES else {}
    columns = [(column, told[column].text if column in told else "") for column in names[name]]
    if json:
        print_json([{"name": column, "text": text} for column, text in columns])
    else:
        table(safe(f"{name}: {texts.get(name, '')}"), ("column", "holds"), columns)


def _print_table(answer: Answer, age: Age, limit: int) -> None:
    rows = list(islice(answer.rows, limit + 1)) if limit else list(answer.rows)
    more = f" (the first of more: --limit {limit * 10}, or 0 for all)" if limit and len(rows) > limit else ""
    shown = rows[:limit] if limit else rows
    count = f"{len(shown)} row{'s' if len(shown) != 1 else ''}{more}"
    table(f"{count}, {_told(age)}", answer.columns, ([shown_cell(cell) for cell in row] for row in shown))


def _print_csv(answer: Answer) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    for row in answer.rows:
        writer.writerow(["" if cell is None else plain(cell) for cell in row])


def _print_json(answer: Answer, age: Age) -> None:
    """One document, written row by row: an answer may be larger than memory."""
    sys.stdout.writelines(_json_parts(answer, age))


def _json_parts(answer: Answer, age: Age) -> Iterator[str]:
    yield f'{{"written_at": {json_row(age.written_at)}, "newest_at": {json_row(age.newest_at)}, "rows": ['
    for number, row in enumerate(answer.rows):
        values = dict(zip(answer.columns, row, strict=True))
        yield f"{',' if number else ''}\n{json_row(values)}"
    yield "\n]}\n"


def _told(age: Age) -> str:
    return f"snapshot {seconds(_seconds_old(age))} old"


def _seconds_old(age: Age) -> float:
    return max(0.0, (datetime.now(UTC) - age.written_at).total_seconds())


def _warn(age: Age, path: Path) -> None:
    if _seconds_old(age) > OLD.total_seconds():
        err.print(
            f"{path} is {seconds(_seconds_old(age))} old: a running archive writes a new one every few "
            "seconds, look at `plantops status`",
            style="yellow",
            soft_wrap=True,
        )
