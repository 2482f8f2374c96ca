"""Operations: what each process sends, receives and answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from plantops.deployment.drawing import answering, edges, generic, stored
from plantops.flow.declaration import ProcessSpec, consumer_name
from plantops.flow.patterns import overlaps
from plantops.schemas.asyncapi.channels import AUDIT, NATS, questions, said_on, service_name
from plantops.schemas.catalogue import snake
from plantops.schemas.services import SERVICES, Service

Json: TypeAlias = dict[str, Any]


def operations(specs: Sequence[ProcessSpec]) -> Iterator[tuple[str, Json]]:
    """All of them by name."""
    for one in stored(specs):
        yield (
            f"{_plain(one.writer)}.stores.{one.event}",
            _operation("send", one.event, (one.event,), f"Stored in {one.stream}."),
        )
    for writer in (spec for spec in specs if spec.audits):
        text = "Stored in AUDIT, chained to the writer's record before."
        yield (
            f"{_plain(writer.name)}.stores.audit.record",
            _operation("send", AUDIT, ("audit_record",), text),
        )
    yield from _readings(specs)
    for service in SERVICES:
        for process in answering(specs, _declared_subject(service)):
            yield f"{_plain(process)}.answers.{service_name(service)}", _answer(service, process)


def _readings(specs: Sequence[ProcessSpec]) -> Iterator[tuple[str, Json]]:
    durables = {
        (spec.name, one.event, consumer_name(spec.name, reads))
        for spec in specs
        for reads in spec.reads
        for one in stored(specs)
        if one.stream == reads.stream and any(overlaps(subject, one.subject) for subject in reads.subjects)
    }
    readers = sorted({(edge.reader, edge.stream, edge.event) for edge in edges(specs)})
    for reader, stream, event in readers:
        consumers = sorted(name for process, said, name in durables if (process, said) == (reader, event))
        operation = _operation(
            "receive", event, said_on(event), f"Given in order, or as work, from {stream}."
        )
        operation["x-jetstream"] = {"consumers": list(map(generic, consumers))}
        yield f"{_plain(reader)}.reads.{event}", operation


def _operation(action: str, channel: str, messages: Sequence[str], summary: str) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
        "bindings": NATS,
    }


def _answer(service: Service, process: str) -> Json:
    name = service_name(service)
    operation = _operation("receive", name, questions(service), service.text)
    # Processes answer in a queue group of their own name, so that a standby does not answer twice.
    operation["bindings"] = {"nats": {"queue": _plain(process), "bindingVersion": "0.1.0"}}
    reply = f"#/channels/{name}.reply"
    answers = (snake(service.answer.__name__), "problem")
    operation["reply"] = {
        "channel": {"$ref": reply},
        "messages": [{"$ref": f"{reply}/messages/{each}"} for each in answers],
    }
    return operation


def _declared_subject(service: Service) -> str:
    """The subject as `declared()` spells it: the doors are reached from CLIENTS under a shorter name."""
    subject = f"door.{service.subject}" if service.is_envelope else service.subject
    return subject.replace("<site>", "site").replace("<source>", "source")


def _plain(process: str) -> str:
    return generic(process).replace("-<source>", "")
