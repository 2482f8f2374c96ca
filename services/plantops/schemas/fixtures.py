"""Real bytes of every event version, recorded once and never edited: what was said stays readable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from plantops.events import Event, event_type
from plantops.events.base import encode_json
from plantops.events.envelope import CONTENT_TYPE, MSGPACK, SIGNATURE, Message, payload_type
from plantops.events.tags import TagFrame
from plantops.flow.signing import Signer
from plantops.ledger.dsse import detached
from plantops.schemas.sample_plant import KEYS, NOW_NS
from plantops.schemas.samples import Said, samples

FOLDER: Final = "fixtures"
HEADERS: Final = ".headers.json"

Files: TypeAlias = dict[str, bytes]


class Envelope(msgspec.Struct, frozen=True):
    """What stands beside the bytes: subject and headers as they travel, and the key that signed.

    `public_key` is Base64.
    """

    subject: str
    headers: dict[str, str]
    public_key: str


def recorded() -> Files:
    """Path to bytes of a full and a least message of every event, as today's code says them."""
    return {path: data for said in samples() for path, data in _files(said)}


def missing(folder: Path) -> Files:
    """What `recorded` has and `folder` lacks. A version that has any fixture is complete and left alone."""
    return {path: data for path, data in recorded().items() if not any((folder / path).parent.glob("*.json"))}


def _files(said: Said) -> Iterator[tuple[str, bytes]]:
    place = f"{FOLDER}/{event_type(said.event)}/{said.event.version}"
    signer = Signer(said.signer, KEYS[said.signer])
    messages = {"full": _message(signer, said)}
    if optional := _optional(said.event):
        messages["least"] = _least(signer, messages["full"], said.event, optional)
    for name, message in messages.items():
        ending = "msgpack" if message.headers[CONTENT_TYPE] == MSGPACK else "json"
        beside = Envelope(message.subject, dict(message.headers), signer.key.public.to_base64())
        yield f"{place}/{name}.{ending}", message.data
        yield f"{place}/{name}{HEADERS}", msgspec.json.format(msgspec.json.encode(beside)) + b"\n"


def _message(signer: Signer, said: Said) -> Message:
    if isinstance(said.event, TagFrame):
        return signer.frame_message(said.subject, said.event)
    return signer.message(
        said.subject, said.event, id="example-1", time=NOW_NS, causation="COMMANDS.40", correlation="example"
    )


def _optional(event: Event) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(event) if not field.required}


def _least(signer: Signer, full: Message, event: Event, optional: set[str]) -> Message:
    """The same without what has a default, as a program says it that leaves defaults out."""
    content = full.headers[CONTENT_TYPE]
    kept = _without(full.data, optional, content)
    signature = detached(payload_type(event_type(event), event.version, content), kept, signer.key)
    return Message(full.subject, kept, {**full.headers, SIGNATURE: signature})


def _without(data: bytes, optional: set[str], content: str) -> bytes:
    if content == MSGPACK:
        fields: Mapping[str, Any] = msgspec.msgpack.decode(data)
        return msgspec.msgpack.encode({name: fields[name] for name in fields if name not in optional})
    raw = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    return encode_json({name: raw[name] for name in raw if name not in optional})
