"""The words that requests are made of, each with its bounds: the same for checking and for telling."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

# What the gate's door takes: names of 256, texts of 4,096 characters, 64 arguments, numbers of 64 bit.
_NAME: Final = 256
_TEXT: Final = 4096

Token: TypeAlias = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", min_length=1, max_length=64)
]
"""A name that can be one token of a subject: an asset, an operation, a conversation, a command."""

Key: TypeAlias = Annotated[str, Meta(pattern=r"^[!-~]{1,128}$", max_length=128)]
"""What a client calls its request by, so that a repetition is the same one."""

Reason: TypeAlias = Annotated[str, Meta(max_length=1000)]
Digest64: TypeAlias = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$", max_length=64)]
Number: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Argument: TypeAlias = bool | Number | float | Annotated[str, Meta(max_length=_TEXT)]
Arguments: TypeAlias = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=_NAME)], Argument], Meta(max_length=64)
]
"""Values by the names that the model gives the arguments."""

WaitSeconds: TypeAlias = Annotated[float, Meta(ge=0, le=30)]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a client sends: a name that is not known is refused, since it may be a misspelt `mode`."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway answers; names may be added."""
