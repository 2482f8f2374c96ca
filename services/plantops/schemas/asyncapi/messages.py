"""Messages with their headers; payloads are the schemas beside the document."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from plantops.events import envelope
from plantops.events.command_parts import Intent
from plantops.ledger.dsse import Envelope
from plantops.ledger.record import AuditRecord
from plantops.schemas.catalogue import Documented, documented, of

Json: TypeAlias = dict[str, Any]


def messages() -> Iterator[tuple[str, Json]]:
    """All of them by name."""
    yield (
        "nothing",
        {"title": "Nothing", "summary": "An empty message, or {}.", "payload": {"type": "object"}},
    )
    for entry in documented():
        match entry.area:
            case "events":
                yield entry.name, _message(entry, headers=True)
            case "services":
                yield entry.name, _message(entry)
            case _:
                pass
    record, sealed = of(AuditRecord), of(Envelope)
    yield "audit_record", _message(sealed, of_payload=record)
    yield "plain_intent", _message(of(Intent))
    for name in ("intent", "approval"):
        inner = next(entry for entry in documented() if (entry.area, entry.name) == ("payloads", name))
        yield f"signed_{name}", _message(sealed, of_payload=inner)


def _message(entry: Documented, *, headers: bool = False, of_payload: Documented | None = None) -> Json:
    told = of_payload or entry
    message: Json = {
        "name": told.name,
        "title": told.struct.__name__,
        "summary": _summary(told.struct),
        "contentType": entry.content,
        "payload": {"$ref": f"./{entry.path}"},
    }
    if headers:
        message["headers"] = {"$ref": "#/components/schemas/EventHeaders"}
        message["correlationId"] = {"location": f"$message.header#/{envelope.CORRELATION}"}
        message["x-fixtures"] = f"./fixtures/{entry.name}/{entry.version}"
    if of_payload is not None:
        message["x-dsse-payload"] = {"type": of_payload.signed_as, "schema": f"./{of_payload.path}"}
    return message


def _summary(struct: type[msgspec.Struct]) -> str:
    return " ".join(inspect.cleandoc(struct.__doc__ or "").split("\n\n")[0].split())


def headers() -> Json:
    """The schema of the headers of an event."""
    texts = {
        envelope.SPEC_VERSION: "CloudEvents version, 1.0.",
        envelope.EVENT_ID: "The event's identity.",
        envelope.EVENT_TYPE: "Its type, as in the payload.",
        envelope.DATA_SCHEMA: "urn:plantops:event:<type>:<version>. An unknown version is refused.",
        envelope.EVENT_SOURCE: "The principal who signed it.",
        envelope.EVENT_TIME: "RFC 3339 in UTC, nine decimals.",
        envelope.CONTENT_TYPE: f"{envelope.JSON}, or {envelope.MSGPACK} for packed frames.",
        envelope.SIGNATURE: "'<keyid> <base64 Ed25519>' over the DSSE PAE of payload type and payload.",
        envelope.CORRELATION: "What belongs together.",
        envelope.CAUSATION: "The message that led to this one.",
        envelope.POSITION: "Of a processor's batch: JSON {stream: sequence} of the inputs it stands for.",
        envelope.TRACE: "W3C Trace Context.",
    }
    required = (envelope.SPEC_VERSION, envelope.EVENT_ID, envelope.EVENT_TYPE, envelope.EVENT_SOURCE)
    return {
        "type": "object",
        "description": "CloudEvents 1.0 attributes in binary mode, as NATS headers.",
        "required": [*required, envelope.EVENT_TIME, envelope.CONTENT_TYPE, envelope.SIGNATURE],
        "properties": {name: {"type": "string", "description": text} for name, text in texts.items()},
    }
