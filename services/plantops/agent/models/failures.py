"""How a try to get a reply can fail; the class says what to do next. `guarding` meets them, nobody else."""

from __future__ import annotations

from plantops.runtime.errors import PlantOpsError


class TryFailed(PlantOpsError):
    """One try gave no reply."""


class TryLater(TryFailed):
    """Another try may do: no connection, no answer in time, too busy, or an answer that ended in the middle.

    `after_seconds` is what the provider asked for, None when it named nothing.
    """

    retryable = True

    def __init__(self, message: str, *, after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class TryInVain(TryFailed):
    """The provider understood and will not: a wrong key, an unknown model, no money left."""


class RequestTooLarge(TryFailed):
    """This request is not taken by a provider that is well: another, smaller one is."""
