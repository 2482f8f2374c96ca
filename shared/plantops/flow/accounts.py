"""The broker's configuration: three accounts, one login per identity, least privilege. Pure text.

PLANT holds the processes and their streams, AUDIT the audit stream, CLIENTS persons and outside programs
without JetStream. Borders are crossed only by what is imported here: audit records and the question for a
writer's last record into AUDIT, doors and public services into PLANT, stored results out of it. A system
account exists without a login; no login is without a key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from plantops.events.base import is_token
from plantops.flow.declaration import Account, ClientSpec, ProcessSpec
from plantops.flow.rights import (
    Rights,
    audit_subjects,
    client_rights,
    door_outside,
    inbox_prefix,
    process_rights,
)
from plantops.flow.streams import MAX_PAYLOAD, TOLD_PREFIX, streams
from plantops.runtime.errors import SettingsError
from plantops.runtime.nkey import is_public_user_key

Json: TypeAlias = dict[str, Any]

PROVISIONER = "provisioner"


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
class ServerOptions:
    """Where the embedded server listens and stores. `folder` is its own, and nobody else may read it.

    `sync_interval` "always": an acknowledged message is on the disk. `plant_bytes` and `audit_bytes` bound
    what each account may store (0: only the disk does).
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

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self.port}"


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
        "log_file": str(options.folder / "nats.log"),
        "logfile_size_limit": 32 * 1024 * 1024,
        "logfile_max_num": 4,
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


def login_rights(plant: Plant) -> dict[str, Rights]:
    """The rights of every process and client by name. Raises: as `configuration`."""
    _check(plant)
    table = streams()
    rights = {p.name: process_rights(p, plant.site, plant.processes, table) for p in plant.processes}
    return rights | {c.name: client_rights(c, plant.site, plant.processes) for c in plant.clients}


def _accounts(plant: Plant) -> dict[str, Json]:
    rights = login_rights(plant)
    doors = [door for process in plant.processes for door in process.door]
    services = [service for process in plant.processes for service in process.public]
    auditing = [p.name for p in plant.processes if p.audits and p.account == "PLANT"]
    told = f"{TOLD_PREFIX}cmd.{plant.site}.>"
    crossing = [subject for name in auditing for subject in audit_subjects(name, plant.site)]
    clients = [_login(client.public_key, rights[client.name]) for client in plant.clients]
    return {
        "SYS": {},
        "PLANT": {
            "users": [_provisioner(plant.plant_provisioner), *_processes(plant, "PLANT", rights)],
            "exports": [
                *({"service": subject, "accounts": ["CLIENTS"]} for subject in (*doors, *services)),
                {"stream": told, "accounts": ["CLIENTS"]},
            ],
            "imports": [{"service": {"account": "AUDIT", "subject": subject}} for subject in crossing],
        },
        "AUDIT": {
            "users": [_provisioner(plant.audit_provisioner), *_processes(plant, "AUDIT", rights)],
            "exports": [
                {"service": f"{area}.{plant.site}.*", "accounts": ["PLANT"]} for area in ("audit", "head")
            ],
        },
        "CLIENTS": {
            "users": clients,
            "imports": [
                *(_shared(door, to=door_outside(door)) for door in doors),
                *(_shared(service, to=service) for service in services),
                {"stream": {"account": "PLANT", "subject": told}, "to": told.removeprefix(TOLD_PREFIX)},
            ],
        },
    }


def _shared(subject: str, *, to: str) -> Json:
    # `share`: the server itself tells the service who asks (Nats-Request-Info).
    return {"service": {"account": "PLANT", "subject": subject}, "to": to, "share": True}


def _processes(plant: Plant, account: Account, rights: Mapping[str, Rights]) -> Iterable[Json]:
    for process in plant.processes:
        if process.account == account:
            yield _login(plant.keys[process.name], rights[process.name])


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
    names = [process.name for process in plant.processes] + [client.name for client in plant.clients]
    for name in (plant.site, *names):
        if not is_token(name):
            raise SettingsError(
                f"{name!r} cannot be a name: use letters, digits, '-' and '_'", setting="name"
            )
    _refuse_doubles("name", [*names, PROVISIONER])
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


def _refuse_doubles(what: str, values: Sequence[str]) -> None:
    doubles = sorted({value for value in values if values.count(value) > 1})
    if doubles:
        raise SettingsError(f"{what} {doubles} is given to more than one identity", setting=what)
