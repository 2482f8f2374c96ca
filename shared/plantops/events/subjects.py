"""Subjects: where an event travels. A subject is routing, never proof of who spoke.

Every builder checks its tokens, so that no name can smuggle a dot or a wildcard.
"""

from __future__ import annotations

from typing import NamedTuple

from plantops.events.base import is_token


class SubjectInvalid(ValueError):
    """A name is no single subject token."""


def _join(*tokens: str) -> str:
    for token in tokens:
        if not is_token(token):
            raise SubjectInvalid(
                f"{token!r} cannot be part of a subject: use 1 to 64 letters, digits, '-' or '_'"
            )
    return ".".join(tokens)


def tag(site: str, source: str) -> str:
    """Frames of one source, stream TAGS."""
    return _join("tag", site, source)


def source(site: str, source: str, event: str) -> str:
    """Lease, state and gaps of one source, stream SOURCES. `event`: lease, up, lost, gap."""
    return _join("source", site, source, event)


def definition(site: str, source: str, layout: str) -> str:
    """One definition of a source, stream DEFINITIONS, kept for ever."""
    return _join("definition", site, source, layout)


def intent(site: str, actor: str, asset: str, operation: str) -> str:
    """An intent: what a client requests of the door, and where the door's event is stored (INTENTS)."""
    return _join("intent", site, actor, asset, operation)


def approval(site: str, person: str, command: str) -> str:
    """An approval or rejection: request to the door, and where the door's event is stored (APPROVALS)."""
    return _join("approval", site, person, command)


def command(site: str, event: str, writer: str, command: str) -> str:
    """A step in a command's life, stream COMMANDS. `event` is the type after `command.`."""
    return _join("cmd", site, event, writer, command)


def generation(site: str, writer: str, asset: str) -> str:
    """The generation of an asset: the one COMMANDS subject that ends with an asset, not a command."""
    return _join("cmd", site, "generation_raised", writer, asset)


def reign(site: str, writer: str) -> str:
    """Where each run of the gate says that it begins: one subject, whose last message is the youngest run."""
    return _join("cmd", site, "reign_began", writer, writer)


def policy(site: str) -> str:
    """Signed policy documents, stream POLICY."""
    return _join("policy", site)


def audit(site: str, writer: str) -> str:
    """Signed audit records of one writer, stream AUDIT in its own account."""
    return _join("audit", site, writer)


def audit_head(site: str, writer: str) -> str:
    """Service of the notary: the last record of one writer, so that its chain goes on after a restart."""
    return _join("head", site, writer)


def checkpoint(site: str) -> str:
    """Signed checkpoints over the audit stream, stream CHECKPOINTS."""
    return _join("checkpoint", site)


def cosignature(site: str, witness: str) -> str:
    """The last cosigned checkpoint of one witness, stream COSIGNATURES."""
    return _join("cosignature", site, witness)


def dispute(site: str, witness: str) -> str:
    """What one witness will not cosign, stream COSIGNATURES."""
    return _join("dispute", site, witness)


def agent(site: str, conversation: str, event: str) -> str:
    """What happens in a conversation, or to the budgets of an identity, stream AGENT. `event` is the type
    after its first dot."""
    return _join("agent", site, conversation, event)


def timer(site: str, owner: str) -> str:
    """Fired timers of one owner, stream TIMERS."""
    return _join("timer", site, owner)


def dead(process: str) -> str:
    """What a process could not read, with the reason, stream DEAD."""
    return _join("dead", process)


def service(area: str, site: str, verb: str) -> str:
    """A request/reply service, for example twin.demo.get."""
    return _join(area, site, verb)


class CommandSubject(NamedTuple):
    """The parts of a COMMANDS subject."""

    site: str
    event: str
    writer: str
    command: str


def parse_command(subject: str) -> CommandSubject:
    """Raises: SubjectInvalid when `subject` is none of COMMANDS."""
    parts = subject.split(".")
    if len(parts) != 5 or parts[0] != "cmd":
        raise SubjectInvalid(f"{subject!r} is no subject of COMMANDS")
    return CommandSubject(*parts[1:])


class IntentSubject(NamedTuple):
    """The parts of an intent's subject."""

    site: str
    actor: str
    asset: str
    operation: str


def parse_intent(subject: str) -> IntentSubject:
    """Raises: SubjectInvalid when `subject` is no intent's."""
    parts = subject.split(".")
    if len(parts) != 5 or parts[0] != "intent" or not all(map(is_token, parts)):
        raise SubjectInvalid(f"{subject!r} is no intent: intent.<site>.<actor>.<asset>.<operation>")
    return IntentSubject(*parts[1:])
