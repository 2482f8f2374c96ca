"""What an executor returned of an operation, as far as the gate keeps it to tell it again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from plantops.events.base import Scalar, encode_json

Returned: TypeAlias = dict[str, Scalar] | None

MAX_RETURNED: Final = 4096
"""Bytes of JSON: less than the arguments of the same command may have, so memory keeps its order of size."""


def kept(outputs: Mapping[str, Scalar]) -> Returned:
    """All of it, or None where it is longer than `MAX_RETURNED`: never a part. The event holds it."""
    return dict(outputs) if len(encode_json(outputs)) <= MAX_RETURNED else None
