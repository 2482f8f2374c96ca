"""A first document for a site, from its model: everything is named, and nobody may do anything."""

from __future__ import annotations

from datetime import datetime, timedelta

from plantops.deployment.folder import Identity
from plantops.deployment.identities import PROGRAMS, is_office, process_specs, role_of
from plantops.deployment.site import Site
from plantops.events.base import Digest
from plantops.ledger.keys import SigningKey
from plantops.policy.document import SCHEMA, OperationRule, Policy, Principal, Vector
from plantops.policy.rights import GATEWAY_ROLE
from plantops.policy.verified import Verified
from plantops.runtime.nkey import NKey

LIFE = timedelta(days=90)
NOBODY = "nobody"


def skeleton(site: Site, now: datetime, *, standing: Verified | None = None, moc: str = "") -> Policy:
    """The document of the first revision, or of the one after `standing`.

    In it stand the site's processes with the public parts of their keys, every operation with the risk that
    the model gives it (critical where it gives none), and for each a vector that denies it to a stranger.
    Missing are people, roles, safe directions and permissives: only a person can know them.
    Raises: SettingsError when a process has no keys.
    """
    begins = now.replace(microsecond=0)
    return Policy(
        schema=SCHEMA,
        id=f"{site.name}-policy",
        audience=site.name,
        revision=1 if standing is None else standing.policy.revision + 1,
        previous=Digest("") if standing is None else standing.digest,
        not_before=begins - timedelta(minutes=1),
        expires=begins + LIFE,
        model=site.plant.digest,
        moc=moc,
        principals={
            spec.name: _process(site, spec.name) for spec in process_specs(site.name, tuple(site.sources))
        }
        | {name: _program(site, name) for name in PROGRAMS},
        operations={
            f"{asset}.{name}": OperationRule(risk=operation.risk or "critical")
            for asset, described in site.plant.model.assets.items()
            for name, operation in described.operations.items()
        },
        vectors=tuple(
            Vector(
                id=f"{asset}.{name} is denied to a stranger",
                asset=asset,
                operation=name,
                actor=NOBODY,
                expect="deny",
                rule="identity",
            )
            for asset, described in site.plant.model.assets.items()
            for name in described.operations
        ),
        revoked=() if standing is None else standing.policy.revoked,
    )


def _program(site: Site, name: str) -> Principal:
    """A client that the site runs itself; what it may ask is for a person to say."""
    identity = site.folder.identity(name)
    return Principal(
        kind="agent",
        keys=(SigningKey.load(identity.signing).public.to_base64(),),
        logins=(NKey.load(identity.login).public,),
        roles=tuple(role for role in PROGRAMS[name] if role == GATEWAY_ROLE),
    )


def _process(site: Site, name: str) -> Principal:
    identity = Identity(site.folder.office / name) if is_office(name) else site.folder.identity(name)
    return Principal(
        kind="process",
        keys=(SigningKey.load(identity.signing).public.to_base64(),),
        logins=(NKey.load(identity.login).public,),
        roles=role_of(name),
    )
