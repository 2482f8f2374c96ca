"""Every identity of a site: the processes with their rights, and the offices that no running host holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from plantops.adapters.host.process import spec
from plantops.agent.specs import AGENT, AGENT_HOST, agent_spec
from plantops.archive.specs import (
    ARCHIVE,
    ARCHIVE_AUDIT,
    REPLAYER,
    REPLAYER_AUDIT,
    archive_audit_spec,
    archive_spec,
    replayer_audit_spec,
    replayer_spec,
)
from plantops.audit.specs import WITNESS, auditor_spec, notary_spec, witness_spec
from plantops.deployment.folder import SiteFolder
from plantops.deployment.site import Site
from plantops.flow.accounts import Plant as Logins
from plantops.flow.declaration import ClientSpec, ProcessSpec, Writes
from plantops.gate.process import gate_spec
from plantops.gateway.specs import GATEWAY
from plantops.policy.document import Policy
from plantops.policy.rights import GATEWAY_ROLE
from plantops.runtime.errors import SettingsError
from plantops.runtime.nkey import NKey
from plantops.timer.process import timer_spec
from plantops.tools.specs import TOOLS, TOOLS_AUDIT, tools_audit_spec, tools_spec
from plantops.twin.process import twin_spec

POLICY_OFFICE = "policy-office"
PLANT_PROVISIONER = "provisioner-plant"
AUDIT_PROVISIONER = "provisioner-audit"

ROLES: Mapping[str, tuple[str, ...]] = {
    "gate": ("gate",),
    "twin": (),
    "timer": ("timer",),
    "notary": ("notary",),
    WITNESS: ("witness",),
    "auditor": (),
    ARCHIVE: (),
    ARCHIVE_AUDIT: (),
    REPLAYER: (),
    REPLAYER_AUDIT: (),
    TOOLS: ("agent",),
    TOOLS_AUDIT: (),
    AGENT_HOST: ("agent",),
    POLICY_OFFICE: (),
}
PROGRAMS: Mapping[str, tuple[str, ...]] = {AGENT: ("assistant",), GATEWAY: (GATEWAY_ROLE, "portal")}
"""Clients that a site runs itself, with their roles: each has keys like a process, and no right in PLANT."""


def process_specs(site: str, sources: Sequence[str]) -> tuple[ProcessSpec, ...]:
    """All processes, in the order in which they start; then those that only people run."""
    return (
        notary_spec(site),
        witness_spec(site),
        twin_spec(site),
        gate_spec(site),
        timer_spec(site),
        *(spec(site, source) for source in sources),
        archive_spec(),
        archive_audit_spec(),
        tools_spec(site),
        tools_audit_spec(site),
        agent_spec(site),
        auditor_spec(site),
        replayer_spec(),
        replayer_audit_spec(),
        ProcessSpec(
            name=POLICY_OFFICE,
            writes=(Writes("POLICY", (f"policy.{site}",), ("policy.published", "policy.root_published")),),
            lookups=("POLICY",),
        ),
    )


def role_of(process: str) -> tuple[str, ...]:
    """What the policy lets a process say."""
    return ("executor",) if process.startswith("adapter-") else ROLES[process]


def is_office(process: str) -> bool:
    """Whether its keys stay off the running host."""
    return process in (POLICY_OFFICE, PLANT_PROVISIONER, AUDIT_PROVISIONER)


def logins(site: Site, policy: Policy) -> Logins:
    """Who may connect: processes by their own keys, everybody else by what the policy says."""
    folder, specs = site.folder, process_specs(site.name, tuple(site.sources))
    clients = [
        ClientSpec(name, login, relays=GATEWAY_ROLE in principal.roles)
        for name, principal in sorted(policy.principals.items())
        if principal.kind != "process"
        for login in principal.logins
    ]
    return Logins(
        site=site.name,
        processes=specs,
        clients=clients,
        keys={each.name: _public(folder, each.name, policy) for each in specs},
        plant_provisioner=_provisioner(folder, PLANT_PROVISIONER),
        audit_provisioner=_provisioner(folder, AUDIT_PROVISIONER),
    )


def _provisioner(folder: SiteFolder, name: str) -> str:
    """Its public key: from the office where that is here, else as it was told to the rest of the world."""
    key = folder.office / f"{name}.nk"
    if key.exists() or not folder.provisioners.exists():
        return NKey.load(key).public
    try:
        told = msgspec.json.decode(folder.provisioners.read_bytes(), type=dict[str, str])
        return told[name]
    except (OSError, msgspec.DecodeError, KeyError) as error:
        raise SettingsError(
            f"{folder.provisioners} names no public key of {name}: restore it, or write it again with the "
            "office folder at hand"
        ) from error


def tell_provisioners(folder: SiteFolder) -> None:
    """Write the provisioners' public keys beside the policy: a broker is configured without the office."""
    names = (PLANT_PROVISIONER, AUDIT_PROVISIONER)
    keys = {name: NKey.load(folder.office / f"{name}.nk").public for name in names}
    folder.provisioners.write_bytes(msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n")


def _public(folder: SiteFolder, process: str, policy: Policy) -> str:
    principal = policy.principals.get(process)
    if principal is not None and principal.logins:
        return principal.logins[0]
    return NKey.load(folder.identity(process).login).public
