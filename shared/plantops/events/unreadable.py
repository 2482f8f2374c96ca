"""What keeps a reader from an event: damage, or a writer newer than the reader.

ValueError
  EventUnreadable        the bytes are no event that this program can use
    EventUnknown         they may well be one for a newer program: worth keeping
      TypeUnknown
      VersionUnknown
"""

from __future__ import annotations


class EventUnreadable(ValueError):
    """The bytes are no known event; they belong in DEAD with this reason."""


class EventUnknown(EventUnreadable):
    """A program of another release said it. Nobody has verified it: `type` and `version` are what it claims.

    `version` is None where the message does not tell it. The same bytes are read after an upgrade.
    """

    def __init__(self, message: str, *, type: str, version: int | None) -> None:  # noqa: A002 - as in the event
        super().__init__(message)
        self.type = type
        self.version = version


class TypeUnknown(EventUnknown):
    """No event of this type is known here."""

    def __init__(self, type: str, version: int | None = None) -> None:  # noqa: A002
        super().__init__(
            f"{type!r} is no event type that this program knows: upgrade it", type=type, version=version
        )


class VersionUnknown(EventUnknown):
    """The type is known, but in `version` it means something else than this program understands."""

    def __init__(self, type: str, version: int, known: int) -> None:  # noqa: A002
        super().__init__(
            f"{type} version {version}, this program knows version {known}: upgrade it",
            type=type,
            version=version,
        )
        self.known = known
