"""The broker's configuration: accounts, one login per identity, least privilege. Pure text.

PLANT holds the processes' streams, AUDIT the audit streams, CLIENTS persons and outside programs without
JetStream. Every process logs in to an account of its own and reaches the streams and services that it
declares over its border (`borders`), and nothing else. Only the provisioners log in to PLANT and AUDIT. A
system account exists without a login; no login is without a key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from plantops.events.base import is_token
from plantops.flow.borders import API, CLIENTS, OWN_API, Crossing, Kind, crossings, own_account, renamed
from plantops.flow.declaration import ClientSpec, ProcessSpec, consumer_name
from plantops.flow.rights import Rights, check_declaration, client_rights, inbox_prefix, process_rights
from plantops.flow.streams import MAX_PAYLOAD, streams
from plantops.runtime.errors import SettingsError
from plantops.runtime.nkey import is_public_user_key

Json: TypeAlias = dict[str, Any]

PROVISIONER = "provisioner"
_NEXT = "$JS.API.CONSUMER.MSG.NEXT."


@dataclass(frozen=True, slots=True)
class Plant:
    """Who may connect to one site's broker.

    `keys` are the public nkeys of the processes by name; the two provisioners' keys are used by nobody else.
    """

    site: str
    processes: Sequence[ProcessSpec]
    clients: Sequence[ClientSpec]
    keys: Mapping[str, str]
    plant_provisioner: str
    audit_provisioner: str


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Certificate (with what leads to its authority) and key in PEM, by the paths that the server sees."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where a server listens and stores. `folder` is its own, and nobody else may read it.

    The monitoring port is on loopback only. Without `logs_to_file` it logs to its standard error. With `tls`
    it takes no other connections. `sync_interval` "always": an acknowledged message is on the disk.
    `plant_bytes` and `audit_bytes` bound what each account may store (0: only the disk does).
    """

    folder: Path
    port: int
    monitor_port: int
    host: str = "127.0.0.1"
    name: str = "plantops"
    sync_interval: str = "always"
    max_connections: int = 1024
    plant_bytes: int = 0
    audit_bytes: int = 0
    logs_to_file: bool = True
    tls: ServerTls | None = None

    @property
    def url(self) -> str:
        return f"{'tls' if self.tls else 'nats'}://{self.host}:{self.port}"


def configuration(plant: Plant, options: ServerOptions) -> str:
    """The whole configuration file.

    Raises: SettingsError for names, keys or declarations that cannot stand.
    """
    if not is_token(options.name):
        raise SettingsError(f"server name {options.name!r} must be one plain word", setting="name")
    accounts = _accounts(plant)
    for name, limit in (("PLANT", options.plant_bytes), ("AUDIT", options.audit_bytes)):
        accounts[name]["jetstream"] = {"max_file": limit} if limit else "enabled"
    document = {
        "server_name": options.name,
        "host": options.host,
        "port": options.port,
        "http": f"127.0.0.1:{options.monitor_port}",
        "max_payload": MAX_PAYLOAD,
        "max_connections": options.max_connections,
        **_log_file(options),
        **_tls(options),
        "jetstream": {
            "store_dir": str(options.folder),
            "sync_interval": options.sync_interval,
        },
        "system_account": "SYS",
        "accounts": accounts,
    }
    return "# Generated: a change here is lost at the next start.\n" + json.dumps(
        document, indent=2, ensure_ascii=False
    )


def _log_file(options: ServerOptions) -> Json:
    if not options.logs_to_file:
        return {}
    return {
        "log_file": str(options.folder / "nats.log"),
        "logfile_size_limit": 32 * 1024 * 1024,
        "logfile_max_num": 4,
    }


def _tls(options: ServerOptions) -> Json:
    if options.tls is None:
        return {}
    # The default of 2 s for a handshake is short where many come back at once after a restart.
    files = {"cert_file": str(options.tls.certificate), "key_file": str(options.tls.key)}
    return {"tls": {**files, "min_version": "1.2", "timeout": 10}}


def login_rights(plant: Plant) -> dict[str, Rights]:
    """The rights of every process and client by name. Raises: as `configuration`."""
    _check(plant)
    rights = {process.name: process_rights(process, plant.site) for process in plant.processes}
    return rights | {c.name: client_rights(c, plant.site, plant.processes) for c in plant.clients}


def _accounts(plant: Plant) -> dict[str, Json]:
    rights = login_rights(plant)
    accounts: dict[str, Json] = {
        "SYS": {},
        "PLANT": {"users": [_provisioner(plant.plant_provisioner)]},
        "AUDIT": {"users": [_provisioner(plant.audit_provisioner)]},
        CLIENTS: {"users": [_login(client.public_key, rights[client.name]) for client in plant.clients]},
    }
    for process in plant.processes:
        accounts[own_account(process.name)] = {
            "mappings": {f"{API}>": f"{OWN_API}>"},
            "users": [_login(plant.keys[process.name], _behind_border(rights[process.name]))],
        }
    crossing = crossings(plant.site, plant.processes)
    for name, account in accounts.items():
        account["exports"] = _exports([c for c in crossing if c.owner == name])
        account["imports"] = [_import(c) for c in crossing if c.importer == name]
    return accounts


def _exports(crossing: Sequence[Crossing]) -> list[Json]:
    importers: dict[tuple[Kind, str], list[str]] = {}
    for one in crossing:
        importers.setdefault((one.kind, one.subject), []).append(one.importer)
    exports: list[Json] = []
    for (kind, subject), accounts in importers.items():
        export: Json = {kind: subject, "accounts": sorted(set(accounts))}
        if subject.startswith(_NEXT):
            export["response_type"] = "stream"  # one request, many messages
        exports.append(export)
    return exports


def _import(crossing: Crossing) -> Json:
    entry: Json = {crossing.kind: {"account": crossing.owner, "subject": crossing.subject}}
    if crossing.name != crossing.subject:
        entry["to"] = crossing.name
    if crossing.share:
        entry["share"] = True
    return entry


def _behind_border(rights: Rights) -> Rights:
    # The server checks a right after it has mapped the subject.
    return Rights(tuple(map(renamed, rights.publish)), rights.subscribe)


def _provisioner(public_key: str) -> Json:
    # It manages streams and consumers and can publish no event.
    return _login(public_key, Rights(("$JS.API.>",), (f"{inbox_prefix(PROVISIONER)}.>",)))


def _login(public_key: str, rights: Rights) -> Json:
    return {
        "nkey": public_key,
        "permissions": {"publish": _only(rights.publish), "subscribe": _only(rights.subscribe)},
    }


def _only(subjects: Sequence[str]) -> Json:
    # An empty list of allowed subjects would allow everything.
    return {"allow": list(subjects)} if subjects else {"deny": [">"]}


def _check(plant: Plant) -> None:
    processes = [process.name for process in plant.processes]
    names = processes + [client.name for client in plant.clients]
    for name in (plant.site, *names):
        if not is_token(name):
            raise SettingsError(
                f"{name!r} cannot be a name: use letters, digits, '-' and '_'", setting="name"
            )
    # A person may hold several logins; they are one client.
    _refuse_doubles("name", [*processes, *sorted({client.name for client in plant.clients}), PROVISIONER])
    missing = [process.name for process in plant.processes if process.name not in plant.keys]
    if missing:
        raise SettingsError(f"no connection key for {missing}: run `plantops init`", setting="keys")
    if any(process.account == "CLIENTS" for process in plant.processes):
        raise SettingsError("a process lives in PLANT or AUDIT; in CLIENTS it is a client", setting="account")
    keys = [plant.keys[process.name] for process in plant.processes]
    keys += [client.public_key for client in plant.clients]
    keys += [plant.plant_provisioner, plant.audit_provisioner]
    for key in keys:
        if not is_public_user_key(key):
            raise SettingsError(f"{key!r} is no public key of a user (U...)", setting="keys")
    _refuse_doubles("connection key", keys)
    table = streams()
    for process in plant.processes:
        check_declaration(process, table)
    # "a" with a reader "b-c" and "a-b" with a reader "c" would share one consumer and take each other's work.
    _refuse_doubles(
        "consumer", [f"{r.stream}/{consumer_name(p.name, r)}" for p in plant.processes for r in p.reads]
    )


def _refuse_doubles(what: str, values: Sequence[str]) -> None:
    doubles = sorted({value for value in values if values.count(value) > 1})
    if doubles:
        raise SettingsError(f"{what} {doubles} is given to more than one identity", setting=what)
