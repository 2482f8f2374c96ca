"""The command line, `plantops`. Errors are one line: what happened, to what, what to do next."""

from __future__ import annotations

import sys

import typer

from plantops.cli import (
    approvals,
    audit,
    commands,
    demo,
    doctor,
    identities,
    initialise,
    policies,
    secrets,
    status,
    tags,
    up,
)
from plantops.cli.output import fail
from plantops.runtime.errors import PlantOpsError

app = typer.Typer(
    name="plantops",
    help="Read an industrial plant and act on it, governed, signed and recorded.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

for module in (up, demo, initialise, doctor, status, tags, commands, approvals):
    module.register(app)
app.add_typer(identities.app, name="identity", help="Keys of persons.")
app.add_typer(policies.app, name="policy", help="Sign, verify and publish what is allowed.")
app.add_typer(audit.app, name="audit", help="Prove what happened.")
app.add_typer(secrets.app, name="secret", help="The encrypted store for device passwords.")


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 refused or failed, 2 wrong use, 130 interrupted."""
    try:
        app()
    except PlantOpsError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        fail(error)


if __name__ == "__main__":
    main()
