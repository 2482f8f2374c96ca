"""Channels: one for each stored event type, one for each service and its replies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from plantops.deployment.drawing import stored
from plantops.events.command_parts import Intent
from plantops.flow.declaration import ProcessSpec
from plantops.schemas.catalogue import of, snake
from plantops.schemas.services import SERVICES, Service

Json: TypeAlias = dict[str, Any]

NATS: Final = {"nats": {"bindingVersion": "0.1.0"}}
AUDIT: Final = "audit.record"

# The names of the tokens of a subject, by its first one.
_TOKENS: Final[Mapping[str, tuple[str, ...]]] = {
    "tag": ("site", "source"),
    "source": ("site", "source", "event"),
    "definition": ("site", "source", "layout"),
    "intent": ("site", "actor", "asset", "operation"),
    "approval": ("site", "person", "command"),
    "cmd": ("site", "event", "writer", "command"),
    "policy": ("site",),
    "agent": ("site", "conversation", "event"),
    "timer": ("site", "owner"),
    "checkpoint": ("site",),
    "cosignature": ("site", "witness"),
    "dispute": ("site", "witness"),
    "audit": ("site", "writer"),
    "dead": ("process",),
}
# Where a subject carries something else than its area says.
_OTHER_TOKENS: Final = {
    "command.generation_raised": ("site", "event", "writer", "asset"),
    "command.reign_began": ("site", "event", "writer", "reign"),
}
# Its token is one of few words: each event has a channel of its own.
_SPELLED: Final = "event"
# The JSON form travels where the packed one does.
_BESIDE: Final = {"tag.frame": ("tag.frame.named",)}

PARAMETERS: Final[Mapping[str, str]] = {
    "site": "The site's name.",
    "source": "A device or server that delivers tags.",
    "layout": "Content hash of a definition.",
    "actor": "Who asks: the login's own name.",
    "asset": "An asset of the model.",
    "operation": "An operation of the asset.",
    "conversation": "A conversation with the agent, or `budget-` and whose budget it is.",
    "client": "Who asks: the login's own name.",
    "person": "Who approves: the login's own name.",
    "command": "A command's identity, 24 hexadecimal digits.",
    "writer": "The process that writes, and signs under this name.",
    "witness": "The process that witnesses the log, and signs under this name.",
    "reign": "The writer once more: all its runs begin on one subject.",
    "owner": "Whose deadlines they are.",
    "process": "The process that could not read a message.",
}


def channels(specs: Sequence[ProcessSpec]) -> dict[str, Json]:
    """All of them by name."""
    return {**_event_channels(specs), AUDIT: _audit_channel(), **_service_channels()}


def _event_channels(specs: Sequence[ProcessSpec]) -> dict[str, Json]:
    """One channel for each event type, whoever writes it."""
    found: dict[str, Json] = {}
    for one in stored(specs):
        address = _address(one.subject, one.event)
        found.setdefault(one.event, _channel(address, said_on(one.event), one.stream))
    return dict(sorted(found.items()))


def said_on(channel: str) -> tuple[str, ...]:
    """The event types that come on the channel of an event."""
    return (channel, *_BESIDE.get(channel, ()))


def _address(subject: str, event: str) -> str:
    area, *tokens = subject.split(".")
    names = _OTHER_TOKENS.get(event, _TOKENS[area])
    parts = [token if name == _SPELLED else f"{{{name}}}" for name, token in zip(names, tokens, strict=True)]
    return ".".join((area, *parts))


def _channel(address: str, messages: Sequence[str], stream: str = "") -> Json:
    channel: Json = {
        "address": address,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    names = re.findall(r"\{(\w+)\}", address)
    if names:
        channel["parameters"] = {name: {"$ref": f"#/components/parameters/{name}"} for name in names}
    channel["bindings"] = NATS
    if stream:
        channel["x-jetstream"] = {"stream": stream}
    return channel


def _audit_channel() -> Json:
    channel = _channel("audit.{site}.{writer}", ("audit_record",), "AUDIT")
    return channel | {"description": "Signed records, chained per writer; append only."}


def _service_channels() -> dict[str, Json]:
    found: dict[str, Json] = {}
    for service in SERVICES:
        name = service_name(service)
        address = re.sub(r"<(\w+)>", r"{\1}", service.subject)
        found[name] = _channel(address, questions(service)) | {"description": service.text}
        found[f"{name}.reply"] = {
            "address": None,
            "description": "The inbox that the request named.",
            "messages": {
                each: {"$ref": f"#/components/messages/{each}"}
                for each in (snake(service.answer.__name__), "problem")
            },
        }
    return found


def service_name(service: Service) -> str:
    """`command.get`, `door.intent`, `read`."""
    area, *tokens = service.subject.split(".")
    words = [token for token in tokens if not token.startswith("<")]
    return ".".join(("door", area) if service.is_envelope else (area, *words))


def questions(service: Service) -> tuple[str, ...]:
    """The names of the messages that ask; an intent also comes without an envelope."""
    if service.question is None:
        return ("nothing",)
    name = of(service.question).name
    if not service.is_envelope:
        return (name,)
    return (f"signed_{name}", f"plain_{name}") if service.question is Intent else (f"signed_{name}",)
