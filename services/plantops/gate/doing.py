"""What an act would do, before it is done. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from plantops.events import Event
from plantops.events.base import CommandId
from plantops.events.command_parts import Decision
from plantops.gate.site import Site
from plantops.gate.state import Asked, GateState, View
from plantops.policy.document import Policy, Principal
from plantops.runtime.errors import Refused

# Each text stands in every decision that it touches, and a decision has to fit into one event.
MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class Doing:
    """The events that do it, and a text for people. Not `is_done`: somebody else has to answer first."""

    text: str
    events: tuple[Event, ...] = ()
    is_done: bool = True


@dataclass(frozen=True, slots=True)
class Act:
    """An act that was asked, with the judgement that allows it."""

    site: Site
    state: GateState
    command: CommandId
    asked: Asked
    decision: Decision

    @property
    def policy(self) -> Policy:
        """The one in force; nothing is allowed without."""
        assert self.state.verified is not None
        return self.state.verified.policy

    def text(self, name: str) -> str:
        """An argument that says something. Raises: Refused when it has no letter or digit, or is too long."""
        value = self.asked.intent.arguments.get(name)
        text = value.strip() if isinstance(value, str) else ""
        if not any(map(str.isalnum, text)):  # spaces of no width are no white space
            raise Refused(f"{name} says nothing: give it in words", reason=f"argument:{name}")
        if len(text) > MAX_TEXT:
            raise Refused(f"{name} has {len(text)} characters, at most {MAX_TEXT} are taken", reason=name)
        return text

    def principal(self) -> Principal:
        """Who asks, himself a person. Raises: Refused for an agent or a process."""
        actor = self.asked.intent.actor
        principal = self.policy.principals.get(actor)
        if principal is None or principal.kind != "person" or not self.decision.person:
            raise Refused(f"{actor} is no person, and only a person does this", reason="person")
        return principal

    def target(self) -> CommandId:
        """The command that the act names, on this asset. Raises: Refused."""
        intent, view = self.asked.intent, View(self.state)
        text = intent.arguments.get("command")
        target = view.find(text) if isinstance(text, str) else None
        asked = view.asked(target) if target is not None else None
        if target is None or asked is None:
            raise Refused(f"no command {text!r} was asked for here", reason="command")
        if asked.intent.asset != intent.asset:
            raise Refused(f"{view.handle(target)} is of {asked.intent.asset}: ask it there", reason="command")
        return target
