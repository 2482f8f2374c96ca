"""The command line, `plantops`. Errors are one line: what happened, to what, what to do next."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from typing import Annotated, Any

import typer

from plantops.cli import failing
from plantops.cli.loading import Commands

app = typer.Typer(
    name="plantops",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"plantops {metadata.version('plantops')}\n")
        raise typer.Exit


@app.callback()
def plantops(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Read an industrial plant and act on it, governed, signed and recorded.

    Exit codes: 0 done, 1 refused or failed, 2 wrong use, 130 interrupted. PLANTOPS_DEBUG=1 shows where an
    error comes from.
    """


def main() -> None:
    """Entry point."""
    sys.exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """Do what was typed; the exit code."""
    try:
        code = app(words, prog_name="plantops", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as ended:  # rich leaves so when the reader of its output went away
        return _quietly(ended.code if isinstance(ended.code, int) else failing.FAILED)
    except typer.Abort:
        sys.stderr.write("\n")
        return failing.INTERRUPTED
    except BaseException as error:
        if hasattr(error, "format_message"):
            return _wrong_use(error)
        failing.tell(error)
        return _quietly(failing.exit_code(error))
    return code if isinstance(code, int) else 0


def _wrong_use(error: Any) -> int:
    """The parser's complaint in one line; without any word the help is the answer."""
    context = error.ctx
    if type(error).__name__ == "NoArgsIsHelpError":
        return failing.WRONG_USE  # making this one has printed the help
    where = context.command_path if context else "plantops"
    text = error.format_message().rstrip(".?")
    failing.write_line(f"{text}: see `{where} --help`")
    return int(error.exit_code)


def _quietly(code: int) -> int:
    """Python flushes standard output once more at its end: nobody may be there to read it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


if __name__ == "__main__":
    main()
