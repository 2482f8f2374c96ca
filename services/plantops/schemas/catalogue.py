"""Everything that has a schema: events, signed payloads, questions, answers; each with name and version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from plantops.audit.trust import AuditTrust
from plantops.events import ALL_TYPES
from plantops.events.command_parts import APPROVAL_TYPE, INTENT_TYPE, Approval, Intent
from plantops.events.envelope import JSON, MSGPACK, data_schema, payload_type
from plantops.events.queries import Problem
from plantops.events.tags import TagFrame
from plantops.ledger.dsse import Envelope
from plantops.ledger.record import RECORD_TYPE, AuditRecord
from plantops.model.assets import Model
from plantops.policy.document import POLICY_TYPE, Policy, TrustRoot
from plantops.schemas.services import SERVICES

Area: TypeAlias = Literal["events", "payloads", "services"]


@dataclass(frozen=True, slots=True)
class Documented:
    """One struct that crosses a border. `signed_as` is the DSSE payload type under which it is signed.

    `is_event`: it travels by itself, with the envelope's headers.
    """

    area: Area
    name: str
    version: int
    struct: type[msgspec.Struct]
    content: str = JSON
    signed_as: str = ""

    @property
    def path(self) -> str:
        """Where its schema lies in the folder."""
        return f"{self.area}/{self.name}/{self.version}.schema.json"

    @property
    def urn(self) -> str:
        """Its name; for an event what the header `ce-dataschema` says."""
        if self.area == "events":
            return data_schema(self.name, self.version)
        return f"urn:plantops:{self.area.removesuffix('s')}:{self.name}:{self.version}"


# What is signed, stored in files or wrapped, but is no event.
_PAYLOADS: Final[tuple[tuple[str, type[msgspec.Struct], str], ...]] = (
    ("intent", Intent, INTENT_TYPE),
    ("approval", Approval, APPROVAL_TYPE),
    ("audit_record", AuditRecord, RECORD_TYPE),
    ("policy", Policy, POLICY_TYPE),
    ("trust_root", TrustRoot, ""),
    ("audit_trust", AuditTrust, ""),
    ("model", Model, ""),
    ("dsse_envelope", Envelope, ""),
)


def documented() -> tuple[Documented, ...]:
    """All of them as they are today, in a fixed order."""
    return (*_events(), *_payloads(), *_services())


def _events() -> Iterator[Documented]:
    for name, kind in sorted(ALL_TYPES.items()):
        content = MSGPACK if kind is TagFrame else JSON
        yield Documented(
            "events", name, kind.version, kind, content, payload_type(name, kind.version, content)
        )


def _payloads() -> Iterator[Documented]:
    for name, struct, signed_as in _PAYLOADS:
        yield Documented("payloads", name, _version(signed_as), struct, signed_as=signed_as)


def _version(signed_as: str) -> int:
    """The version in `application/vnd.plantops.<name>.v<version>+json`; 1 for what is not signed."""
    match = re.search(r"\.v(\d+)\+", signed_as)
    return 1 if match is None else int(match[1])


def _services() -> Iterator[Documented]:
    known = {each.struct for each in (*_events(), *_payloads())}
    found = {kind for service in SERVICES for kind in (service.question, service.answer) if kind is not None}
    for kind in sorted(found | {Problem}, key=lambda kind: kind.__name__):
        if kind not in known:
            yield Documented("services", snake(kind.__name__), 1, kind)


def snake(name: str) -> str:
    """`TagsAsked` as `tags_asked`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def of(struct: type[msgspec.Struct]) -> Documented:
    """The entry of a struct. Raises: KeyError when it has none."""
    for each in documented():
        if each.struct is struct:
            return each
    raise KeyError(struct.__name__)
