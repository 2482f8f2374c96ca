"""Streams, snapshot buckets and consumers are made here, with a credential that no running process holds.

What exists as wanted is left alone, so it may run at every start. What exists otherwise is changed only
where nothing can be lost or opened by it; for the rest a person decides.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from ssl import SSLContext
from typing import Any, Final, TypeAlias

import msgspec
import nats.errors
from nats.aio.client import Client

from plantops.flow.accounts import PROVISIONER
from plantops.flow.connection import close_client
from plantops.flow.declaration import Account, ProcessSpec, consumer_name
from plantops.flow.patterns import covers, overlaps
from plantops.flow.processor import Reads
from plantops.flow.rights import inbox_prefix
from plantops.flow.streams import (
    DEFAULTS,
    Difference,
    StreamSettings,
    StreamSpec,
    differences,
    snapshots,
    streams,
)
from plantops.runtime.errors import BrokerUnavailable, SettingsError
from plantops.runtime.nkey import NKey

Json: TypeAlias = dict[str, Any]

MINIMUM_VERSION: Final = (2, 14)  # consumers can be reset (ADR-60) and batches are atomic (ADR-50)

FOLD_ACK_WAIT: Final = timedelta(hours=1)
FOLD_MAX_ACK_PENDING: Final = 1_000_000
EFFECT_ACK_WAIT: Final = timedelta(seconds=30)
EFFECT_MAX_ACK_PENDING: Final = 256

_STREAM_NOT_FOUND: Final = 10059
_CONSUMER_NOT_FOUND: Final = 10014
# Subjects with a meaning of their own: a stream over one of them would swallow or forge what passes there.
_NO_STREAM_MAY_TAKE: Final = (
    "door.>",
    "told.>",
    "head.>",
    "audit.>",
    "checkpoint.>",
    "cosignature.>",
    "dispute.>",
    "$JS.>",
    "$SYS.>",
    "_INBOX.>",
)


@dataclass(slots=True)
class Report:
    """What was done, by name: `STREAM` or `STREAM/consumer`."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


async def provision(
    url: str,
    specs: Sequence[ProcessSpec],
    *,
    plant_key: NKey,
    audit_key: NKey,
    settings: StreamSettings = DEFAULTS,
    timeout: float = 10.0,
    tls: SSLContext | None = None,
) -> Report:
    """Make what the processes need on the server at `url`, embedded or not; doing it again changes nothing.

    `tls` says whom to trust where `url` is encrypted.

    Raises: SettingsError when the server is too old, or something exists with settings that cannot be
    changed without losing or opening something; then nothing was changed in that account.
    BrokerUnavailable when the server does not answer.
    """
    report = Report()
    keys: tuple[tuple[Account, NKey], ...] = (("PLANT", plant_key), ("AUDIT", audit_key))
    for account, key in keys:
        async with _connection(url, key, timeout, tls) as client:
            await _Provisioner(client, timeout, report).account(account, specs, settings)
    return report


class _Provisioner:
    def __init__(self, client: Client, timeout: float, report: Report) -> None:
        self._client = client
        self._timeout = timeout
        self._report = report

    async def account(self, account: Account, specs: Sequence[ProcessSpec], settings: StreamSettings) -> None:
        own = [spec for spec in specs if spec.account == account]
        wanted = [stream for stream in streams(settings) if stream.account == account]
        wanted += [snapshots(s.name, account, replicas=settings.replicas) for s in own if s.snapshots]
        consumers = [
            (reads, consumer_config(consumer_name(spec.name, reads), reads))
            for spec in own
            for reads in spec.reads
        ]
        _check_names(wanted, consumers)
        await self._refuse_strangers({stream.name for stream in wanted}, own)
        # Everything is looked at before anything is changed.
        planned = [(stream, await self._stream_found(stream)) for stream in wanted]
        for reads, config in consumers:
            await self._consumer_found(reads.stream, config)
        for stream, found in planned:
            await self._stream(stream, found)
        for reads, config in consumers:
            await self._apply_consumer(reads.stream, config)

    async def _stream_found(self, spec: StreamSpec) -> list[Difference] | None:
        """Safe differences of the stream as it is; None when it does not exist."""
        answer = await self._api(f"STREAM.INFO.{spec.name}", missing=_STREAM_NOT_FOUND)
        if answer is None:
            return None
        found = differences(spec, answer["config"])
        _refuse(spec.name, [difference for difference in found if not difference.is_safe])
        return found

    async def _stream(self, spec: StreamSpec, found: list[Difference] | None) -> None:
        if found is None:
            await self._api(f"STREAM.CREATE.{spec.name}", spec.config())
        elif found:
            await self._api(f"STREAM.UPDATE.{spec.name}", spec.config())
        self._note(spec.name, found)

    async def _consumer_found(self, stream: str, config: Json) -> list[Difference] | None:
        answer = await self._api(
            f"CONSUMER.INFO.{stream}.{config['name']}", missing=_CONSUMER_NOT_FOUND, absent=_STREAM_NOT_FOUND
        )
        if answer is None:
            return None
        found = list(_consumer_differences(config, answer["config"]))
        _refuse(f"{stream}/{config['name']}", [difference for difference in found if not difference.is_safe])
        return found

    async def _apply_consumer(self, stream: str, config: Json) -> None:
        found = await self._consumer_found(stream, config)
        if found is None or found:
            request = {
                "stream_name": stream,
                "config": config,
                "action": "create" if found is None else "update",
            }
            await self._api(f"CONSUMER.CREATE.{stream}.{config['name']}", request)
        self._note(f"{stream}/{config['name']}", found)

    async def _refuse_strangers(self, known: set[str], own: Sequence[ProcessSpec]) -> None:
        """A stream that we did not make must not lie over subjects on which processes talk."""
        taken = [subject for spec in own for subject in (*spec.serves, *spec.public, *spec.door)]
        async for stream in self._all_streams():
            name, subjects = stream["name"], stream.get("subjects") or ()
            clash = [s for s in subjects if any(overlaps(s, t) for t in (*taken, *_NO_STREAM_MAY_TAKE))]
            if name not in known and clash:
                raise SettingsError(
                    f"stream {name} is not ours and takes {clash}: find out who made it, then delete it",
                    setting=name,
                )

    async def _all_streams(self) -> AsyncIterator[Json]:
        offset = 0
        while True:
            answer = await self._api("STREAM.LIST", {"offset": offset})
            page = (answer or {}).get("streams") or []
            for stream in page:
                yield stream["config"]
            offset += len(page)
            if not page or offset >= (answer or {}).get("total", 0):
                return

    def _note(self, name: str, found: list[Difference] | None) -> None:
        if found is None:
            self._report.created.append(name)
        else:
            (self._report.changed if found else self._report.unchanged).append(name)

    async def _api(
        self, subject: str, body: Json | None = None, *, missing: int = 0, absent: int = 0
    ) -> Json | None:
        """The answer; None when it is the error `missing` or `absent`."""
        data = msgspec.json.encode(body) if body is not None else b""
        try:
            reply = await self._client.request(f"$JS.API.{subject}", data, timeout=self._timeout)
        except nats.errors.NoRespondersError as error:
            raise SettingsError(
                "the broker has no JetStream in this account: check its configuration"
            ) from error
        except (nats.errors.Error, TimeoutError) as error:
            raise BrokerUnavailable(f"the broker did not answer {subject}: {error!r}") from error
        answer: Json = msgspec.json.decode(reply.data)
        failure = answer.get("error")
        if failure is None:
            return answer
        if failure.get("err_code") in (missing, absent):
            return None
        raise SettingsError(f"the broker refused {subject}: {failure.get('description')}", setting=subject)


def consumer_config(name: str, reads: Reads) -> Json:
    """The durable as the JetStream API takes it. Raises: SettingsError for an unknown kind."""
    if reads.kind not in ("fold", "effect"):
        raise SettingsError(f"consumer {name}: kind {reads.kind!r} is neither fold nor effect", setting=name)
    is_fold = reads.kind == "fold"
    effect_wait = timedelta(seconds=reads.ack_seconds) or EFFECT_ACK_WAIT
    return {
        "name": name,
        "durable_name": name,
        "filter_subjects": list(reads.subjects),
        "deliver_policy": "all",
        "replay_policy": "instant",
        "ack_policy": "all" if is_fold else "explicit",
        "ack_wait": (FOLD_ACK_WAIT if is_fold else effect_wait) // timedelta(microseconds=1) * 1000,
        "max_ack_pending": FOLD_MAX_ACK_PENDING if is_fold else EFFECT_MAX_ACK_PENDING,
        "max_deliver": -1,
    }


_CONSUMER_SAFE: Final = ("ack_wait", "max_ack_pending")
_CONSUMER_DEFAULTS: Final = {"max_waiting": 512}


def _consumer_differences(wanted: Json, actual: Json) -> Iterator[Difference]:
    found = dict(actual)
    if single := found.pop("filter_subject", None):
        found["filter_subjects"] = [single]
    found.pop("metadata", None)
    for name in sorted(wanted.keys() | found.keys()):
        want, have = wanted.get(name), found.get(name)
        if name == "filter_subjects":
            if sorted(wanted[name]) != sorted(found.get(name) or ()):
                # What was delivered so far is still delivered: only then nothing is missed silently.
                before = found.get(name) or (">",)
                kept = all(any(covers(new, old) for new in wanted[name]) for old in before)
                yield Difference(name, want, have, is_safe=kept)
        elif name not in wanted:
            if have and have != _CONSUMER_DEFAULTS.get(name):
                yield Difference(name, None, have)
        elif want != have:
            yield Difference(name, want, have, is_safe=name in _CONSUMER_SAFE)


def _refuse(name: str, found: Sequence[Difference]) -> None:
    if found:
        listed = "; ".join(map(str, found))
        raise SettingsError(
            f"{name} exists with other settings ({listed}): change it by hand, or move it away", setting=name
        )


def _check_names(wanted: Sequence[StreamSpec], consumers: Sequence[tuple[Reads, Json]]) -> None:
    known = {stream.name for stream in wanted}
    places = [(reads.stream, config["name"]) for reads, config in consumers]
    for stream, name in places:
        if stream not in known:
            raise SettingsError(f"consumer {name} reads the unknown stream {stream}", setting=name)
        if places.count((stream, name)) > 1:
            raise SettingsError(f"two readers are called {name} on {stream}: give one a name", setting=name)


@asynccontextmanager
async def _connection(url: str, key: NKey, timeout: float, tls: SSLContext | None) -> AsyncIterator[Client]:
    client = Client()
    told: list[str] = []

    async def remember(error: Exception) -> None:
        told.append(str(error))

    try:
        try:
            await client.connect(
                url,
                nkeys_seed_str=key.seed,
                name=PROVISIONER,
                inbox_prefix=inbox_prefix(PROVISIONER).encode(),
                connect_timeout=math.ceil(timeout),
                allow_reconnect=False,
                max_reconnect_attempts=1,  # else the client tries 60 times before it says so
                reconnect_time_wait=0,
                tls=tls,
                error_cb=remember,
            )
        except (nats.errors.Error, OSError, TimeoutError) as error:
            reasons = "; ".join(dict.fromkeys([*told, str(error)]))
            raise BrokerUnavailable(f"cannot connect to the broker at {url}: {reasons}") from error
        version = client.connected_server_version
        if (version.major, version.minor) < MINIMUM_VERSION:
            raise SettingsError(f"the broker at {url} is too old ({version}): 2.14 or newer is needed")
        yield client
    finally:
        await close_client(client)
