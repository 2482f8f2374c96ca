"""`plantops audit`: verify, show and export the record of what happened."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Prove what happened."""
