"""How the archive is: a small file that it renews, for doctor, status and whoever watches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from plantops.runtime.errors import IntegrityError

FILE: Final = "condition.json"


class StreamCondition(msgspec.Struct, frozen=True, kw_only=True):
    """`position` is archived, `last` is what the stream held when it was looked at; `halted` says why it is
    followed no more, "" while it is."""

    position: int
    last: int
    halted: str = ""

    @property
    def lag(self) -> int:
        """Messages that are not archived yet."""
        return max(0, self.last - self.position)


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Times are seconds since 1970, 0 for never. `problem`: why nothing is stored, `not_served` and
    `not_closed`: why the served snapshot or Parquet is behind; "" while all is well. `samples` counts since
    the start, `unread` (messages) and `holes` (stretches) by their cause.
    """

    site: str
    pid: int
    at: float
    streams: dict[str, StreamCondition]
    samples: int = 0
    problem: str = ""
    served_at: float = 0.0
    served_seconds: float = 0.0
    not_served: str = ""
    closed_at: float = 0.0
    not_closed: str = ""
    unread: dict[str, int] = {}
    holes: dict[str, int] = {}


def save_condition(condition: Condition, folder: Path) -> None:
    """Write it whole or not at all. Raises: OSError."""
    path = folder / FILE
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(condition), indent=2) + b"\n")
    fresh.replace(path)


def load_condition(folder: Path) -> Condition | None:
    """None where no archive has run yet. Raises: IntegrityError when the file cannot be read."""
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Condition)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise IntegrityError(
            f"{path} cannot be read ({error}): the running archive writes it anew, or delete it",
            path=str(path),
        ) from error
