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


class TrustAll:
    """Believes everything. For tests of the flow itself; no process is started with it."""

    def believe(self, event_type: str, version: int, message: Message) -> str:
        return ""
