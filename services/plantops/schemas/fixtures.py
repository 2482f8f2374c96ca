"""Real bytes of every event version, recorded once and never edited: what was said stays readable."""

from __future__ import annotations

from collections.abc import Mapping
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
    return {path: data for said in samples() for path, data in _files(said, "full", "least").items()}


def missing(folder: Path) -> Files:
    """What has to be recorded in `folder`; what is there is left alone.

    A version without any message gets both; one whose messages all lack some field that today's sample
    has, in it or in a part of it, gets another full one.
    """
    found: Files = {}
    for said in samples():
        place = folder / _place(said.event)
        known = [_fields(path) for path in sorted(place.glob("*")) if not path.name.endswith(HEADERS)]
        if not known:
            found |= _files(said, "full", "least")
        elif not _shape(_image(said)) <= set().union(*known):
            found |= _files(said, f"full-{len(known) + 1}")
    return found


def _place(event: Event) -> str:
    return f"{FOLDER}/{event_type(event)}/{event.version}"


def _image(said: Said) -> Any:
    return msgspec.to_builtins(said.event)


def _fields(path: Path) -> set[str]:
    data = path.read_bytes()
    return _shape(msgspec.msgpack.decode(data) if path.suffix == ".msgpack" else msgspec.json.decode(data))


def _shape(value: Any, place: str = "") -> set[str]:
    """The names of all fields in a payload, with their places."""
    match value:
        case dict():
            parts = [_shape(part, f"{place}.{name}") for name, part in value.items()]
            return {f"{place}.{name}" for name in value}.union(*parts)
        case list() | tuple():
            return set[str]().union(*(_shape(part, f"{place}[]") for part in value))
        case _:
            return set()


def _files(said: Said, full: str, least: str = "") -> Files:
    signer = Signer(said.signer, KEYS[said.signer])
    messages = {full: _message(signer, said)}
    if least and (optional := _optional(said.event)):
        messages[least] = _least(signer, messages[full], said.event, optional)
    files: Files = {}
    for name, message in messages.items():
        ending = "msgpack" if message.headers[CONTENT_TYPE] == MSGPACK else "json"
        beside = Envelope(message.subject, dict(message.headers), signer.key.public.to_base64())
        files[f"{_place(said.event)}/{name}.{ending}"] = message.data
        files[f"{_place(said.event)}/{name}{HEADERS}"] = (
            msgspec.json.format(msgspec.json.encode(beside)) + b"\n"
        )
    return files


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
