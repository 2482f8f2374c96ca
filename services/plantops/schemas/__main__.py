"""`python -m plantops.schemas` writes the folder schemas/; with --check it only compares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from plantops.schemas.folder import compare, write


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 when something differs or would change its meaning, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="plantops.schemas", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("schemas"))
    parser.add_argument("--check", action="store_true", help="write nothing, and say what differs")
    given = parser.parse_args(arguments)
    if given.check:
        return _check(given.folder)
    try:
        changed = write(given.folder)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(changed)} files written in {given.folder}", *(f"  {path}" for path in changed), sep="\n")
    return 0


def _check(folder: Path) -> int:
    found = compare(folder)
    for line in (*found.breaking, *found.stale, *found.strangers):
        print(line, file=sys.stderr)
    if found.stale and not found.breaking:
        print("write them again: make schemas", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
