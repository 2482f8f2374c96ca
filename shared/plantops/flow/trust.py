"""Whose word counts: what the shell asks before a core sees an event."""

from __future__ import annotations

from typing import Protocol

from plantops.events.envelope import Message


class Trust(Protocol):
    """Decides whether an event may be believed; the policy's keyring is the one that counts."""

    def believe(self, event_type: str, version: int, message: Message) -> str:
        """The principal who signed `message`, whose role may say `event_type` on this subject.

        Empty for event types that need no signature. Raises: TrustError otherwise.
        """
        ...

    def at(self, time_ns: int) -> Trust:
        """Whose word counted at this broker time: what was said before a key was taken away stays said."""
        ...

    @property
    def ever(self) -> Trust:
        """Whose word counted at any time so far."""
        ...


class TrustAll:
    """Believes everything. For tests of the flow itself; no process is started with it."""

    def believe(self, event_type: str, version: int, message: Message) -> str:
        return ""

    def at(self, time_ns: int) -> TrustAll:
        return self

    @property
    def ever(self) -> TrustAll:
        return self
