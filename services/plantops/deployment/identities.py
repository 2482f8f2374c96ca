"""Every identity of a site: the processes with their rights, and the offices that no running host holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plantops.adapters.host.process import spec
from plantops.audit.specs import auditor_spec, notary_spec
from plantops.deployment.folder import SiteFolder
from plantops.deployment.site import Site
from plantops.flow.accounts import Plant as Logins
from plantops.flow.declaration import ClientSpec, ProcessSpec, Writes
from plantops.gate.process import gate_spec
from plantops.policy.document import Policy
from plantops.runtime.nkey import NKey
from plantops.timer.process import timer_spec
from plantops.twin.process import twin_spec

POLICY_OFFICE = "policy-office"
PLANT_PROVISIONER = "provisioner-plant"
AUDIT_PROVISIONER = "provisioner-audit"

ROLES: Mapping[str, tuple[str, ...]] = {
    "gate": ("gate",),
    "twin": (),
    "timer": ("timer",),
    "notary": ("notary",),
    "auditor": (),
    POLICY_OFFICE: (),
}


def process_specs(site: str, sources: Sequence[str]) -> tuple[ProcessSpec, ...]:
    """All processes, in the order in which they start; then the two that only people run."""
    return (
        notary_spec(site),
        twin_spec(site),
        gate_spec(site),
        timer_spec(site),
        *(spec(site, source) for source in sources),
        auditor_spec(site),
        ProcessSpec(
            name=POLICY_OFFICE,
            writes=(Writes("POLICY", (f"policy.{site}",), ("policy.published",)),),
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
        ClientSpec(name, login)
        for name, principal in sorted(policy.principals.items())
        if principal.kind != "process"
        for login in principal.logins
    ]
    return Logins(
        site=site.name,
        processes=specs,
        clients=clients,
        keys={each.name: _public(folder, each.name, policy) for each in specs},
        plant_provisioner=NKey.load(folder.office / f"{PLANT_PROVISIONER}.nk").public,
        audit_provisioner=NKey.load(folder.office / f"{AUDIT_PROVISIONER}.nk").public,
    )


def _public(folder: SiteFolder, process: str, policy: Policy) -> str:
    principal = policy.principals.get(process)
    if principal is not None and principal.logins:
        return principal.logins[0]
    return NKey.load(folder.identity(process).login).public
